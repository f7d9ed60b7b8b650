-- (statistics of user $1 as a JSON object)
with counted as (
    select kind, calls, failed, prompt_tokens, completion_tokens, cost_pico
    from minuted.usage_hourly
    where user_id = $1::uuid
    union all
    select kind, calls, failed, prompt_tokens, completion_tokens, cost_pico
    from minuted.usage_deltas
    where user_id = $1::uuid
), summed as (
    select
        kind,
        sum(calls)::bigint as calls,
        sum(failed)::bigint as failed,
        sum(prompt_tokens)::bigint as prompt_tokens,
        sum(completion_tokens)::bigint as completion_tokens,
        sum(cost_pico)::bigint as cost_pico
    from counted
    group by kind
)
select
    json_build_object(
        'total_event_logs', coalesce(sum(calls) filter (where kind like 'event:%'), 0),
        'total_llm_logs', coalesce(sum(calls) filter (where kind = 'ingest'), 0),
        'logs_by_level', json_build_object(
            'info', coalesce(sum(calls) filter (where kind = 'event:info'), 0),
            'warning', coalesce(sum(calls) filter (where kind = 'event:warning'), 0),
            'error', coalesce(sum(calls) filter (where kind = 'event:error'), 0),
            'debug', coalesce(sum(calls) filter (where kind = 'event:debug'), 0)),
        'api_keys_count', (
            select count(*)
            from minuted.api_keys k
            where k.user_id = $1::uuid),
        'calls', json_build_object(
            'total', coalesce(sum(calls) filter (where kind <> 'ingest' and kind not like 'event:%'), 0),
            'failed', coalesce(sum(failed) filter (where kind <> 'ingest' and kind not like 'event:%'), 0),
            'prompt_tokens', coalesce(sum(prompt_tokens) filter (where kind <> 'ingest'), 0),
            'completion_tokens', coalesce(sum(completion_tokens) filter (where kind <> 'ingest'), 0),
            'cost', minuted.usd(coalesce(sum(cost_pico) filter (where kind <> 'ingest'), 0)::bigint)))
from summed
