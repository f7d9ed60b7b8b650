-- Attempt $3 at key $2 of user $1 came to nothing: the next one runs.
delete from minuted.idempotency_keys
where user_id = $1::uuid and key_hash = $2 and attempt = $3::uuid
