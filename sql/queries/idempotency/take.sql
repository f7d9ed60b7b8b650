-- (seed, seed is another attempt's) when key $2 of user $1 is now attempt $5's (of a worker's life $7): it was new, a day old, freed, taken by a worker that has died, or taken by somebody who has had it for more than $6 ms.
--
-- Not when the same request's call is completed: its answer is not there, but it
-- was paid for.  Nor for $6 ms while the end of that call may be on its way ($8:
-- records wait in a spool).
insert into minuted.idempotency_keys as k (user_id, key_hash, request_hash, route, attempt, owner, seed)
values ($1::uuid, $2, $3, $4, $5::uuid, $7::uuid, $5::uuid)
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
    created_at = now(),
    seed = case when k.request_hash = excluded.request_hash and k.created_at >= now() - interval '24 hours'
        then coalesce(k.seed, excluded.seed)
        else excluded.seed
    end,
    freed = null,
    in_doubt = false
where k.created_at < now() - interval '24 hours'
    or (k.state = 'running'
        and (k.freed = k.attempt
            or exists (select from minuted.ended_lives e where e.life = k.owner)
            or k.created_at < now() - $6::bigint * interval '1 millisecond')
        and (k.request_hash <> excluded.request_hash
            or case coalesce((
                    select c.status
                    from minuted.calls c
                    where c.user_id = k.user_id
                        and c.id = k.attempt), 'running')
                when 'completed' then false
                when 'running' then not (($8::boolean or k.in_doubt)
                    and k.created_at >= now() - $6::bigint * interval '1 millisecond')
                else true
            end))
returning seed, seed <> attempt
