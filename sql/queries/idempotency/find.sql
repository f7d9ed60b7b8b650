-- (request_hash, done, status, content_type, headers, body) of key $2 of user $1
select request_hash, state = 'done', status, content_type, headers, body
from minuted.idempotency_keys
where user_id = $1::uuid and key_hash = $2
