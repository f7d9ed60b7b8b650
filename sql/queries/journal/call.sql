-- nothing; calls.sql for one call ($1 to $30: the fields of its line), at less than half the cost
with written as (
    insert into minuted.calls as c (
        user_id, id, key_id, kind, provider, model, upstream_model, status,
        stream, prompt_tokens, completion_tokens, cached_tokens,
        reasoning_tokens, estimated, cost_pico, latency_us, first_token_us,
        http_status, error, end_user, environment, source, chat_id,
        session_id, request_id, metadata, started_at, finished_at)
    select
        $1::uuid,
        $2::uuid,
        $3::uuid,
        $4,
        $5,
        $6,
        $7,
        $8,
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
        $19,
        $20,
        $21,
        $22,
        $23::uuid,
        $24::uuid,
        $25,
        $26::json,
        $27::timestamptz,
        $28::timestamptz
    where $1::uuid is not null
    on conflict (user_id, id) do update set
        key_id = excluded.key_id,
        kind = excluded.kind,
        provider = excluded.provider,
        model = excluded.model,
        upstream_model = excluded.upstream_model,
        status = excluded.status,
        stream = excluded.stream,
        prompt_tokens = excluded.prompt_tokens,
        completion_tokens = excluded.completion_tokens,
        cached_tokens = excluded.cached_tokens,
        reasoning_tokens = excluded.reasoning_tokens,
        estimated = excluded.estimated,
        cost_pico = excluded.cost_pico,
        latency_us = excluded.latency_us,
        first_token_us = excluded.first_token_us,
        http_status = excluded.http_status,
        error = excluded.error,
        end_user = excluded.end_user,
        environment = excluded.environment,
        source = excluded.source,
        chat_id = excluded.chat_id,
        session_id = excluded.session_id,
        request_id = excluded.request_id,
        metadata = coalesce(excluded.metadata, c.metadata),
        started_at = excluded.started_at,
        finished_at = excluded.finished_at
    where excluded.kind <> 'ingest'
        and (c.kind = 'ingest'
            or (excluded.status <> 'running'
                and (c.status = 'running'
                    or (c.status = 'interrupted'
                        and (excluded.status <> 'interrupted'
                            or c.error = 'owner_gone')))))
    returning
        user_id, id, key_id, kind, provider, model, environment, status,
        prompt_tokens, completion_tokens, cost_pico, latency_us, started_at,
        width_bucket(latency_us, array[
            1000, 2000, 5000, 10000, 20000, 50000, 100000, 150000, 200000,
            300000, 500000, 700000, 1000000, 1500000, 2000000, 3000000,
            5000000, 7000000, 10000000, 15000000, 20000000, 30000000,
            60000000, 120000000]::bigint[]) as bucket
), texts as (
    insert into minuted.call_texts as t (user_id, id, request, response)
    select
        written.user_id,
        written.id,
        $29,
        $30
    from written
    where $29::text is not null or $30::text is not null
    on conflict (user_id, id) do update set
        request = coalesce(excluded.request, t.request),
        response = coalesce(excluded.response, t.response)
)
insert into minuted.usage_deltas (
    user_id, hour, key_id, kind, provider, model, environment, calls, failed,
    prompt_tokens, completion_tokens, uncompleted_prompt_tokens,
    uncompleted_completion_tokens, cost_pico, cost_unknown, latency_us,
    latency_counts)
select
    user_id,
    date_trunc('hour', started_at, 'UTC'),
    coalesce(key_id, '00000000-0000-0000-0000-000000000000'),
    kind,
    coalesce(provider, ''),
    coalesce(model, ''),
    coalesce(environment, ''),
    1,
    (status <> 'completed')::int,
    coalesce(prompt_tokens, 0),
    coalesce(completion_tokens, 0),
    case when status <> 'completed' then coalesce(prompt_tokens, 0) else 0 end,
    case when status <> 'completed' then coalesce(completion_tokens, 0) else 0 end,
    coalesce(cost_pico, 0),
    (cost_pico is null)::int,
    coalesce(latency_us, 0),
    case when bucket is null then array_fill(0::bigint, array[25])
        else array_fill(0::bigint, array[bucket]) || 1::bigint
            || array_fill(0::bigint, array[24 - bucket]) end
from written
where status <> 'running'
