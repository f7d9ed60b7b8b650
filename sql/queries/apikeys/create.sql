-- (created, expires) of the new key $2 of user $1: name $3, prefix $4, hash $5, scopes $6 (array), active $7, expires $8, generated $9
insert into minuted.api_keys (user_id, id, name, prefix, key_hash, scopes,
    is_active, expires_at, generated)
values ($1::uuid, $2::uuid, $3, $4, $5, $6::text[], $7::boolean,
    $8::timestamptz, $9::boolean)
returning minuted.iso(created_at), minuted.iso(expires_at)
