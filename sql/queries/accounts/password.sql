-- (token_version) of user $1, whose password_hash is now $2; no row: no longer at token version $3
update minuted.users
set password_hash = $2,
    token_version = token_version + 1,
    updated_at = now()
where id = $1::uuid
    and token_version = $3::bigint
    and disabled_at is null
returning token_version
