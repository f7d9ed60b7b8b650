-- (id, username, e-mail, role, state, created, keys) of every user, oldest first
select u.id, u.username, coalesce(u.email, ''), u.role,
    case when u.disabled_at is null then 'active' else 'disabled' end,
    minuted.iso(u.created_at),
    (select count(*) from minuted.api_keys k where k.user_id = u.id)
from minuted.users u
order by u.id
