-- (id) of user $1, whose e-mail is now $2 and whose username $3
update minuted.users
set email = $2,
    username = $3,
    updated_at = now()
where id = $1::uuid
    and disabled_at is null
returning id
