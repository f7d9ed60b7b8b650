-- token_version, disabled, admin of user $1.
select token_version, disabled_at is not null, role = 'admin'
from minuted.users
where id = $1::uuid
