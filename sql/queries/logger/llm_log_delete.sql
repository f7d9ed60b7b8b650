-- (id) of ingested LLM log $2 of user $1, which is gone with its texts and no longer counts; no row: not there, or not theirs
with gone as (
    delete from minuted.calls
    where user_id = $1::uuid
        and id = $2::uuid
        and kind = 'ingest'
    returning user_id, id, key_id, kind, started_at
), texts as (
    delete from minuted.call_texts t
    using gone
    where t.user_id = gone.user_id
        and t.id = gone.id
), uncounted as (
    insert into minuted.usage_deltas (user_id, hour, key_id, kind, calls, cost_unknown)
    select
        user_id,
        date_trunc('hour', started_at, 'UTC'),
        coalesce(key_id, '00000000-0000-0000-0000-000000000000'),
        kind,
        -1,
        -1
    from gone
)
select id
from gone
