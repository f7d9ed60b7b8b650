-- nothing; calls.sql for one call ($1: its COPY line), at half the cost
with written as (
    insert into minuted.calls as c (
        user_id, id, key_id, kind, provider, model, upstream_model, status,
        stream, prompt_tokens, completion_tokens, cached_tokens,
        reasoning_tokens, estimated, cost_pico, latency_us, first_token_us,
        http_status, error, end_user, environment, source, chat_id,
        session_id, request_id, metadata, started_at, finished_at)
    select
        f[1]::uuid,
        f[2]::uuid,
        f[3]::uuid,
        f[4],
        convert_from(decode(f[5], 'escape'), 'UTF8'),
        convert_from(decode(f[6], 'escape'), 'UTF8'),
        convert_from(decode(f[7], 'escape'), 'UTF8'),
        f[8],
        f[9]::boolean,
        f[10]::bigint,
        f[11]::bigint,
        f[12]::bigint,
        f[13]::bigint,
        f[14]::boolean,
        f[15]::bigint,
        f[16]::bigint,
        f[17]::bigint,
        f[18]::int,
        convert_from(decode(f[19], 'escape'), 'UTF8'),
        convert_from(decode(f[20], 'escape'), 'UTF8'),
        convert_from(decode(f[21], 'escape'), 'UTF8'),
        convert_from(decode(f[22], 'escape'), 'UTF8'),
        f[23]::uuid,
        f[24]::uuid,
        convert_from(decode(f[25], 'escape'), 'UTF8'),
        convert_from(decode(f[26], 'escape'), 'UTF8')::json,
        f[27]::timestamptz,
        f[28]::timestamptz
    from string_to_array(rtrim($1, E'\n'), E'\t', '\N') as f
    where $1 <> ''
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
            or (c.status = 'running' and excluded.status <> 'running'))
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
        convert_from(decode(f[29], 'escape'), 'UTF8'),
        convert_from(decode(f[30], 'escape'), 'UTF8')
    from written, string_to_array(rtrim($1, E'\n'), E'\t', '\N') as f
    where f[29] is not null or f[30] is not null
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
    (status in ('failed', 'interrupted'))::int,
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
