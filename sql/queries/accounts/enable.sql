-- (id) of user $1, now enabled
update minuted.users
set disabled_at = null,
    updated_at = now()
where id = $1::uuid
returning id
