-- The key with hash $1: id, user_id, is_active, expiry (microseconds since
-- 1970, 0 never), scopes with spaces between.
select id, user_id, is_active,
    coalesce((extract(epoch from expires_at) * 1000000)::bigint, 0),
    array_to_string(scopes, ' ')
from minuted.api_keys
where key_hash = $1
