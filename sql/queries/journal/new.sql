-- nothing; call.sql for a call that is not there yet, at two thirds of the cost; a unique violation if it is
with written as (
    insert into minuted.calls (
        user_id, id, key_id, kind, provider, model, upstream_model, status,
        stream, prompt_tokens, completion_tokens, cached_tokens,
        reasoning_tokens, estimated, cost_pico, latency_us, first_token_us,
        http_status, error, end_user, environment, source, chat_id,
        session_id, request_id, metadata, started_at, finished_at)
    select
        $1::uuid,
        $2::uuid,
        $3::uuid,
        $4::text,
        $5::text,
        $6::text,
        $7::text,
        $8::text,
        $9::boolean,
        $10::bigint,
        $11::bigint,
        $12::bigint,
        $13::bigint,
        $14::boolean,
        $15::bigint,
        $16::bigint,
        $17::bigint,
        $18::int,
        $19::text,
        $20::text,
        $21::text,
        $22::text,
        $23::uuid,
        $24::uuid,
        $25::text,
        $26::json,
        $27::timestamptz,
        $28::timestamptz
    where $1::uuid is not null
), texts as (
    insert into minuted.call_texts (user_id, id, request, response)
    select
        $1::uuid,
        $2::uuid,
        $29::text,
        $30::text
    where $29::text is not null or $30::text is not null
)
insert into minuted.usage_deltas (
    user_id, hour, key_id, kind, provider, model, environment, calls, failed,
    prompt_tokens, completion_tokens, uncompleted_prompt_tokens,
    uncompleted_completion_tokens, cost_pico, cost_unknown, latency_us,
    latency_counts)
select
    $1::uuid,
    date_trunc('hour', $27::timestamptz, 'UTC'),
    coalesce($3::uuid, '00000000-0000-0000-0000-000000000000'),
    $4::text,
    coalesce($5::text, ''),
    coalesce($6::text, ''),
    coalesce($21::text, ''),
    1,
    ($8::text <> 'completed')::int,
    coalesce($10::bigint, 0),
    coalesce($11::bigint, 0),
    case when $8::text <> 'completed' then coalesce($10::bigint, 0) else 0 end,
    case when $8::text <> 'completed' then coalesce($11::bigint, 0) else 0 end,
    coalesce($15::bigint, 0),
    ($15::bigint is null)::int,
    coalesce($16::bigint, 0),
    case when bucket is null then array_fill(0::bigint, array[25])
        else array_fill(0::bigint, array[bucket]) || 1::bigint
            || array_fill(0::bigint, array[24 - bucket]) end
from (
    select width_bucket($16::bigint, array[
        1000, 2000, 5000, 10000, 20000, 50000, 100000, 150000, 200000,
        300000, 500000, 700000, 1000000, 1500000, 2000000, 3000000,
        5000000, 7000000, 10000000, 15000000, 20000000, 30000000,
        60000000, 120000000]::bigint[]) as bucket
) as latency
where $8::text <> 'running'
