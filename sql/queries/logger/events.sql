-- (microseconds, id, user_id, message, level, timestamp, metadata) of events of user $1, newest first, at most $2; null: no filter: those after time $3 and id $4, level $5, user_id $6, since $7, until $8, message like $9, those of the ids $10
-- planned anew: most filters are absent
select
    (extract(epoch from e.logged_at) * 1000000)::bigint,
    e.id,
    e.subject,
    e.message,
    e.level,
    minuted.iso(e.logged_at),
    e.metadata
from minuted.events e
where e.user_id = $1::uuid
    -- one bound, so that the index is read from there
    and (e.logged_at, e.id) < (
        least($3::timestamptz, $8::timestamptz, 'infinity'),
        case
            when $8::timestamptz <= coalesce($3::timestamptz, 'infinity')
                then '00000000-0000-0000-0000-000000000000'
            else coalesce($4, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
        end::uuid)
    and e.logged_at >= coalesce($7::timestamptz, '-infinity')
    and ($5::text is null or e.level = $5::text)
    and ($6::text is null or e.subject = $6::text)
    and ($9::text is null or e.message ilike $9::text)
    and ($10::uuid[] is null or e.id = any ($10::uuid[]))
order by e.logged_at desc, e.id desc
limit $2::bigint
