-- Nothing; the keys with user ids $1 and ids $2 (arrays, pairwise) were used.
-- Rows that another worker has moved lately, or holds, are left.
update minuted.api_keys k
set last_used_at = now()
from (
    select user_id, id
    from minuted.api_keys
    where (user_id, id) in (select * from unnest($1::uuid[], $2::uuid[]))
    and (last_used_at is null or last_used_at < now() - interval '50 seconds')
    for no key update skip locked
) as used
where k.user_id = used.user_id
and k.id = used.id
