-- (key $2 of user $1 as a JSON object, the key itself masked); no row: not there, or not theirs
select json_build_object(
    'id', id,
    'key', prefix || U&'\2026',
    'name', name,
    'prefix', prefix,
    'scopes', scopes,
    'is_active', is_active,
    'created_at', minuted.iso(created_at),
    'expires_at', minuted.iso(expires_at),
    'last_used_at', minuted.iso(last_used_at))
from minuted.api_keys
where user_id = $1::uuid
    and id = $2::uuid
