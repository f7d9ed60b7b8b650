-- (id, is_active) of key $2 of user $1; null name $3, is_active $4, expires_at $5 and scopes $7 leave what is there, $6 takes the expiry away
update minuted.api_keys
set name = coalesce($3, name),
    is_active = coalesce($4::boolean, is_active),
    expires_at = case when $6::boolean then null
        else coalesce($5::timestamptz, expires_at) end,
    scopes = coalesce($7::text[], scopes),
    updated_at = now()
where user_id = $1::uuid
    and id = $2::uuid
returning id, is_active
