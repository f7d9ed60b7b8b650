-- nothing; writes calls ($1: COPY lines, record.h) with their texts, counts each end once
--
-- latency_counts has 25 buckets: below 1 ms, then from each of the boundaries
-- below (microseconds) up to the next, the last without an end.
with field as materialized (
    select line.number, string_to_array(line.text, E'\t', '\N') as f
    from string_to_table($1, E'\n') with ordinality as line (text, number)
    where line.text <> ''
), staged as materialized (
    -- one row an id: a statement can write a row only once, and an end wins;
    -- an ingested log, whose id a client chose, loses to a call of ours
    select distinct on (f[1], f[2])
        -- null, which is refused, in a line of another length
        (case when cardinality(f) = 30 then f[1] end)::uuid as user_id,
        f[2]::uuid as id,
        f[3]::uuid as key_id,
        f[4] as kind,
        convert_from(decode(f[5], 'escape'), 'UTF8') as provider,
        convert_from(decode(f[6], 'escape'), 'UTF8') as model,
        convert_from(decode(f[7], 'escape'), 'UTF8') as upstream_model,
        f[8] as status,
        f[9]::boolean as stream,
        f[10]::bigint as prompt_tokens,
        f[11]::bigint as completion_tokens,
        f[12]::bigint as cached_tokens,
        f[13]::bigint as reasoning_tokens,
        f[14]::boolean as estimated,
        f[15]::bigint as cost_pico,
        f[16]::bigint as latency_us,
        f[17]::bigint as first_token_us,
        f[18]::int as http_status,
        convert_from(decode(f[19], 'escape'), 'UTF8') as error,
        convert_from(decode(f[20], 'escape'), 'UTF8') as end_user,
        convert_from(decode(f[21], 'escape'), 'UTF8') as environment,
        convert_from(decode(f[22], 'escape'), 'UTF8') as source,
        f[23]::uuid as chat_id,
        f[24]::uuid as session_id,
        convert_from(decode(f[25], 'escape'), 'UTF8') as request_id,
        convert_from(decode(f[26], 'escape'), 'UTF8')::json as metadata,
        f[27]::timestamptz as started_at,
        f[28]::timestamptz as finished_at,
        convert_from(decode(f[29], 'escape'), 'UTF8') as request,
        convert_from(decode(f[30], 'escape'), 'UTF8') as response
    from field
    order by f[1], f[2], f[4] = 'ingest', f[8] = 'running',
        f[8] = 'interrupted', number
), written as (
    insert into minuted.calls as c (
        user_id, id, key_id, kind, provider, model, upstream_model, status,
        stream, prompt_tokens, completion_tokens, cached_tokens,
        reasoning_tokens, estimated, cost_pico, latency_us, first_token_us,
        http_status, error, end_user, environment, source, chat_id,
        session_id, request_id, metadata, started_at, finished_at)
    select
        user_id, id, key_id, kind, provider, model, upstream_model, status,
        stream, prompt_tokens, completion_tokens, cached_tokens,
        reasoning_tokens, estimated, cost_pico, latency_us, first_token_us,
        http_status, error, end_user, environment, source, chat_id,
        session_id, request_id, metadata, started_at, finished_at
    from staged
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
    select staged.user_id, staged.id, staged.request, staged.response
    from staged
    join written using (user_id, id)
    where staged.request is not null or staged.response is not null
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
    count(*),
    count(*) filter (where status <> 'completed'),
    coalesce(sum(prompt_tokens), 0),
    coalesce(sum(completion_tokens), 0),
    coalesce(sum(prompt_tokens) filter (where status <> 'completed'), 0),
    coalesce(sum(completion_tokens) filter (where status <> 'completed'), 0),
    coalesce(sum(cost_pico), 0),
    count(*) filter (where cost_pico is null),
    coalesce(sum(latency_us), 0),
    array[
        count(*) filter (where bucket = 0),
        count(*) filter (where bucket = 1),
        count(*) filter (where bucket = 2),
        count(*) filter (where bucket = 3),
        count(*) filter (where bucket = 4),
        count(*) filter (where bucket = 5),
        count(*) filter (where bucket = 6),
        count(*) filter (where bucket = 7),
        count(*) filter (where bucket = 8),
        count(*) filter (where bucket = 9),
        count(*) filter (where bucket = 10),
        count(*) filter (where bucket = 11),
        count(*) filter (where bucket = 12),
        count(*) filter (where bucket = 13),
        count(*) filter (where bucket = 14),
        count(*) filter (where bucket = 15),
        count(*) filter (where bucket = 16),
        count(*) filter (where bucket = 17),
        count(*) filter (where bucket = 18),
        count(*) filter (where bucket = 19),
        count(*) filter (where bucket = 20),
        count(*) filter (where bucket = 21),
        count(*) filter (where bucket = 22),
        count(*) filter (where bucket = 23),
        count(*) filter (where bucket = 24)
    ]
from written
where status <> 'running'
group by 1, 2, 3, 4, 5, 6, 7
