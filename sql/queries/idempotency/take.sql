-- A row when key $2 of user $1 is now attempt $5's (of a worker's life $7): it was new, a day old, or taken by somebody who has had it for more than $6 ms.
insert into minuted.idempotency_keys as k (user_id, key_hash, request_hash, route, attempt, owner)
values ($1::uuid, $2, $3, $4, $5::uuid, $7::uuid)
on conflict on constraint idempotency_keys_pkey do update
set request_hash = excluded.request_hash,
    route = excluded.route,
    attempt = excluded.attempt,
    owner = excluded.owner,
    state = 'running',
    status = null,
    content_type = null,
    headers = null,
    body = null,
    created_at = now()
where k.created_at < now() - interval '24 hours'
    or (k.state = 'running' and k.created_at < now() - $6::bigint * interval '1 millisecond')
returning 1
