-- (input tokens, output tokens) of the calls of user $1; null: no filter: since $2, model $3, 'successful' or 'failed' $4, environment $5
--
-- From the hourly counts, but for the hour in which the period begins: its
-- calls are read.  The counts outlive the rows, so the period begins with the
-- oldest call at the earliest: not with an ingested log, whose id can be any.
with oldest as materialized (
    select minuted.uuid_time(c.id) as at
    from minuted.calls c
    where c.user_id = $1::uuid
        and c.kind <> 'ingest'
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
), counted as (
    select kind, model, environment, prompt_tokens, completion_tokens,
        uncompleted_prompt_tokens, uncompleted_completion_tokens
    from minuted.usage_hourly
    where user_id = $1::uuid
        and hour >= (select at from whole)
    union all
    select kind, model, environment, prompt_tokens, completion_tokens,
        uncompleted_prompt_tokens, uncompleted_completion_tokens
    from minuted.usage_deltas
    where user_id = $1::uuid
        and hour >= (select at from whole)
), part (input, output) as (
    select
        case $4::text
            when 'failed' then uncompleted_prompt_tokens
            when 'successful' then prompt_tokens - uncompleted_prompt_tokens
            else prompt_tokens
        end,
        case $4::text
            when 'failed' then uncompleted_completion_tokens
            when 'successful' then completion_tokens - uncompleted_completion_tokens
            else completion_tokens
        end
    from counted
    where kind <> 'ingest'
        and ($3::text is null or model = $3::text)
        and ($5::text is null or environment = $5::text)
    union all
    select c.prompt_tokens, c.completion_tokens
    from minuted.calls c
    where c.user_id = $1::uuid
        -- the id is made just before the call begins
        and c.id >= minuted.uuid_floor((select at from began) - interval '10 minutes')
        and c.id < minuted.uuid_floor((select at from whole) + interval '10 minutes')
        and c.started_at >= (select at from began)
        and c.started_at < (select at from whole)
        and c.kind <> 'ingest'
        and c.status <> 'running'
        and ($3::text is null or c.model = $3::text)
        and ($4::text is null or (c.status = 'completed') = ($4::text = 'successful'))
        and ($5::text is null or c.environment = $5::text)
)
select
    coalesce(sum(input), 0)::bigint,
    coalesce(sum(output), 0)::bigint
from part
