-- (microseconds, id, user_id, source, query, response, timestamp, metadata) of ingested LLM logs of user $1, newest first, at most $2; null: no filter: those after time $3 and id $4, source $5, user_id $6, since $7, until $8, query or response like $9, those of the ids $10
-- planned anew: most filters are absent
select
    (extract(epoch from c.started_at) * 1000000)::bigint,
    c.id,
    c.end_user,
    c.source,
    t.request,
    t.response,
    minuted.iso(c.started_at),
    c.metadata
from minuted.calls c
left join minuted.call_texts t on t.user_id = c.user_id and t.id = c.id
where c.user_id = $1::uuid
    and c.kind = 'ingest'
    -- one bound, so that the index is read from there
    and (c.started_at, c.id) < (
        least($3::timestamptz, $8::timestamptz, 'infinity'),
        case
            when $8::timestamptz <= coalesce($3::timestamptz, 'infinity')
                then '00000000-0000-0000-0000-000000000000'
            else coalesce($4, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
        end::uuid)
    and c.started_at >= coalesce($7::timestamptz, '-infinity')
    and ($5::text is null or c.source = $5::text)
    and ($6::text is null or c.end_user = $6::text)
    and ($9::text is null or t.request ilike $9::text or t.response ilike $9::text)
    and ($10::uuid[] is null or c.id = any ($10::uuid[]))
order by c.started_at desc, c.id desc
limit $2::bigint
