-- (id) of event $2 of user $1, which is gone and no longer counts; no row: not there, or not theirs
with gone as (
    delete from minuted.events
    where user_id = $1::uuid
        and id = $2::uuid
    returning user_id, id, key_id, level, logged_at
), uncounted as (
    insert into minuted.usage_deltas (user_id, hour, key_id, kind, calls)
    select
        user_id,
        date_trunc('hour', logged_at, 'UTC'),
        coalesce(key_id, '00000000-0000-0000-0000-000000000000'),
        'event:' || level,
        -1
    from gone
)
select id
from gone
