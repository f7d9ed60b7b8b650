-- A row when it was so: attempt $3 at key $2 of user $1 came to nothing: the next one runs, if $4 when its call's end is known.
update minuted.idempotency_keys
set freed = attempt,
    in_doubt = $4::boolean,
    owner = null
where user_id = $1::uuid and key_hash = $2 and attempt = $3::uuid and state = 'running'
returning 1
