-- (id) of user $1, whose password_hash is now $2; all access tokens void
update minuted.users
set password_hash = $2,
    token_version = token_version + 1,
    updated_at = now()
where id = $1::uuid
returning id
