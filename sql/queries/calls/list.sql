-- (id, the call as a JSON object) of user $1, newest first, at most $2; null filters: below id $3, model $4, status $5, since $6, until $7, text like $8, those of the ids $9
-- planned anew: most filters are absent
select
    c.id,
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
        'metadata', c.metadata)
from minuted.calls c
where c.user_id = $1::uuid
    and c.kind <> 'ingest'
    and ($3::uuid is null or c.id < $3::uuid)
    and ($4::text is null or c.model = $4::text)
    and ($5::text is null or c.status = $5::text)
    -- the id is made just before the call begins, and not before 1970
    and ($6::timestamptz is null or c.id >= minuted.uuid_floor(greatest($6::timestamptz, '1970-01-02Z') - interval '1 day'))
    and ($6::timestamptz is null or c.started_at >= $6::timestamptz)
    and ($7::timestamptz is null or c.id < minuted.uuid_floor($7::timestamptz + interval '10 minutes'))
    and ($7::timestamptz is null or c.started_at < $7::timestamptz)
    and ($8::text is null or exists (
        select
        from minuted.call_texts t
        where t.user_id = c.user_id
            and t.id = c.id
            and (t.request ilike $8::text or t.response ilike $8::text)))
    and ($9::uuid[] is null or c.id = any ($9::uuid[]))
order by c.id desc
limit $2::bigint
