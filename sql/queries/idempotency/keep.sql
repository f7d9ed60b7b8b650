-- A row when the answer of attempt $3 at key $2 of user $1 is kept: status, content type, headers, body; none: the key is somebody else's
update minuted.idempotency_keys
set state = 'done',
    status = $4::int,
    content_type = $5,
    headers = $6,
    body = $7::bytea
where user_id = $1::uuid and key_hash = $2 and attempt = $3::uuid
returning 1
