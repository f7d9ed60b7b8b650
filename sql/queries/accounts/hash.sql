-- (password_hash, token_version) of user $1
select password_hash, token_version
from minuted.users
where id = $1::uuid
    and disabled_at is null
