-- (id, email, username, first name, last name, name, role, created, updated, token_version) of user $1, unless disabled
select id, email, username, first_name, last_name,
    coalesce(name, nullif(concat_ws(' ', first_name, last_name), '')),
    role, minuted.iso(created_at), minuted.iso(updated_at), token_version
from minuted.users
where id = $1::uuid
    and disabled_at is null
