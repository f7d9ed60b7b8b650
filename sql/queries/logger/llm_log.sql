-- (ingested LLM log $2 of user $1 as a JSON object); no row: not there, or not theirs
select
    json_build_object(
        'id', c.id,
        'user_id', c.end_user,
        'source', c.source,
        'query', t.request,
        'response', t.response,
        'timestamp', minuted.iso(c.started_at),
        'metadata', c.metadata)
from minuted.calls c
left join minuted.call_texts t on t.user_id = c.user_id and t.id = c.id
where c.user_id = $1::uuid
    and c.id = $2::uuid
    and c.kind = 'ingest'
