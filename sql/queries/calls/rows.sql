-- the columns of a CSV file, the id first: the same calls and parameters as list.sql
-- planned anew: most filters are absent
select
    c.id,
    c.kind,
    c.provider,
    c.model,
    c.status,
    c.stream::text,
    c.prompt_tokens,
    c.completion_tokens,
    c.cached_tokens,
    c.reasoning_tokens,
    c.estimated::text,
    minuted.usd(c.cost_pico),
    trim_scale(c.latency_us / 1000.0),
    trim_scale(c.first_token_us / 1000.0),
    minuted.iso(c.started_at),
    minuted.iso(c.finished_at),
    c.error,
    c.end_user,
    c.environment,
    c.source,
    c.request_id,
    c.metadata
from minuted.calls c
where c.user_id = $1::uuid
    and c.kind <> 'ingest'
    and ($3::uuid is null or c.id < $3::uuid)
    and ($4::text is null or c.model = $4::text)
    and ($5::text is null or c.status = $5::text)
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
