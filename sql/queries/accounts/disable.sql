-- (id) of user $1, now disabled, all access tokens void
update minuted.users
set disabled_at = coalesce(disabled_at, now()),
    token_version = token_version + 1,
    updated_at = now()
where id = $1::uuid
returning id
