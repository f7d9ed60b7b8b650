-- (the call $2 of user $1 as a JSON object, with its texts); no row: not there, or not theirs
select
    json_build_object(
        'id', c.id,
        'object', 'call',
        'kind', c.kind,
        'provider', c.provider,
        'model', c.model,
        'status', c.status,
        'stream', c.stream,
        'usage', json_build_object(
            'prompt_tokens', c.prompt_tokens,
            'completion_tokens', c.completion_tokens,
            'total_tokens', c.prompt_tokens + c.completion_tokens,
            'cached_tokens', c.cached_tokens,
            'reasoning_tokens', c.reasoning_tokens,
            'estimated', c.estimated),
        'cost', minuted.usd(c.cost_pico),
        'latency_ms', trim_scale(c.latency_us / 1000.0),
        'time_to_first_token_ms', trim_scale(c.first_token_us / 1000.0),
        'created_at', minuted.iso(c.started_at),
        'started_at', minuted.iso(c.started_at),
        'finished_at', minuted.iso(c.finished_at),
        'error', c.error,
        'user', c.end_user,
        'environment', c.environment,
        'source', c.source,
        'key_id', c.key_id,
        'chat_id', c.chat_id,
        'session_id', c.session_id,
        'request_id', c.request_id,
        'metadata', c.metadata,
        'request', t.request,
        'response', t.response)
from minuted.calls c
left join minuted.call_texts t on t.user_id = c.user_id and t.id = c.id
where c.user_id = $1::uuid
    and c.id = $2::uuid
