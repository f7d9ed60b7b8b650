-- (request_hash, done, status, content_type, headers, body, freed) of key $2 of user $1; an attempt that is over, or for more than $3 ms nobody's, is done when its call is completed
select
    k.request_hash,
    k.state = 'done' or c.id is not null,
    k.status,
    k.content_type,
    coalesce(k.headers, 'X-Call-Id: ' || c.id || E'\r\n'),
    k.body,
    k.state = 'running' and is_over.freed
from minuted.idempotency_keys k
cross join lateral (
    select k.freed is not distinct from k.attempt
        or exists (select from minuted.ended_lives e where e.life = k.owner) as freed
) is_over
left join minuted.calls c on k.state = 'running'
    and (is_over.freed or k.created_at < now() - $3::bigint * interval '1 millisecond')
    and c.user_id = k.user_id
    and c.id = k.attempt
    and c.status = 'completed'
where k.user_id = $1::uuid and k.key_hash = $2
