-- nothing; writes events ($1: COPY lines, record.h) and counts each once
with field as materialized (
    select line.number, string_to_array(line.text, E'\t', '\N') as f
    from string_to_table($1, E'\n') with ordinality as line (text, number)
    where line.text <> ''
), written as (
    insert into minuted.events (
        user_id, id, key_id, subject, level, message, metadata, logged_at)
    select
        -- null, which is refused, in a line of another length
        (case when cardinality(f) = 8 then f[1] end)::uuid,
        f[2]::uuid,
        f[3]::uuid,
        convert_from(decode(f[4], 'escape'), 'UTF8'),
        f[5],
        convert_from(decode(f[6], 'escape'), 'UTF8'),
        convert_from(decode(f[7], 'escape'), 'UTF8')::json,
        f[8]::timestamptz
    from field
    order by number
    on conflict (user_id, id) do nothing
    returning user_id, key_id, level, logged_at
)
insert into minuted.usage_deltas (user_id, hour, key_id, kind, calls)
select
    user_id,
    date_trunc('hour', logged_at, 'UTC'),
    coalesce(key_id, '00000000-0000-0000-0000-000000000000'),
    'event:' || level,
    count(*)
from written
group by 1, 2, 3, 4
