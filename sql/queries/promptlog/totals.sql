-- (input tokens, output tokens) of the calls of user $1; null: no filter: since $2, model $3, 'successful' $4, environment $5
--
-- From the hourly counts, but for the hour in which the period begins and, of
-- the successful ones, the failed ones: these are read.  The counts outlive the
-- rows, so the period begins with the oldest row at the earliest.
with oldest as materialized (
    select minuted.uuid_time(c.id) as at
    from minuted.calls c
    where c.user_id = $1::uuid
    order by c.id
    limit 1
), began as materialized (
    select greatest($2::timestamptz, at) as at
    from oldest
), whole as materialized (
    -- the first hour that is counted whole
    select case
            when date_trunc('hour', at, 'UTC') = at then at
            else date_trunc('hour', at, 'UTC') + interval '1 hour'
        end as at
    from began
), part (input, output) as (
    select h.prompt_tokens, h.completion_tokens
    from minuted.usage_hourly h
    where h.user_id = $1::uuid
        and h.hour >= (select at from whole)
        and h.kind <> 'ingest'
        and ($3::text is null or h.model = $3::text)
        and ($5::text is null or h.environment = $5::text)
    union all
    select d.prompt_tokens, d.completion_tokens
    from minuted.usage_deltas d
    where d.user_id = $1::uuid
        and d.hour >= (select at from whole)
        and d.kind <> 'ingest'
        and ($3::text is null or d.model = $3::text)
        and ($5::text is null or d.environment = $5::text)
    union all
    select c.prompt_tokens, c.completion_tokens
    from minuted.calls c
    where c.user_id = $1::uuid
        and c.id >= minuted.uuid_floor((select at from began) - interval '10 minutes')
        and c.id < minuted.uuid_floor((select at from whole) + interval '10 minutes')
        and c.started_at >= (select at from began)
        and c.started_at < (select at from whole)
        and c.kind <> 'ingest'
        and c.status <> 'running'
        and ($3::text is null or c.model = $3::text)
        and ($5::text is null or c.environment = $5::text)
    union all
    select -c.prompt_tokens, -c.completion_tokens
    from minuted.calls c
    where $4::text is not null
        and c.user_id = $1::uuid
        and c.error is not null
        and c.id >= minuted.uuid_floor((select at from began) - interval '10 minutes')
        and c.started_at >= (select at from began)
        and c.kind <> 'ingest'
        and c.status not in ('completed', 'running')
        and ($3::text is null or c.model = $3::text)
        and ($5::text is null or c.environment = $5::text)
)
select
    coalesce(sum(input), 0)::bigint,
    coalesce(sum(output), 0)::bigint
from part
