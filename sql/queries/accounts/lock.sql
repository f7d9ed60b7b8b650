-- (user_id) of the refresh token with hash $1; its user is locked, so that making and revoking tokens take turns
select u.id
from minuted.refresh_tokens t
join minuted.users u on u.id = t.user_id
where t.token_hash = $1
for no key update of u
