-- (prefix, id, name, state, scopes, expires, last used, created) of the keys of user $1, oldest first
select prefix, id, name,
    case when not is_active then 'revoked'
        when expires_at <= now() then 'expired'
        else 'active' end,
    coalesce(nullif(array_to_string(scopes, ','), ''), '-'),
    coalesce(minuted.iso(expires_at), 'never'),
    coalesce(minuted.iso(last_used_at), 'never'),
    minuted.iso(created_at)
from minuted.api_keys
where user_id = $1::uuid
order by id
