-- (id, password_hash, token_version, disabled) of the user whose e-mail or username is $1
select id, password_hash, token_version, disabled_at is not null
from minuted.users
where email = lower($1)
    or lower(username) = lower($1)
order by email is not distinct from lower($1) desc
limit 1
