-- (the session $2 of user $1 with its turns as JSON, oldest first); turns open longer than $3 ms have failed; no row: not there, or not theirs
select
    json_build_object(
        'id', s.id,
        'prompt', s.prompt,
        'models', s.models,
        'createdAt', minuted.iso(s.created_at),
        'updatedAt', minuted.iso(s.updated_at),
        'totalCost', minuted.usd(s.total_cost),
        'totalTokens', s.total_tokens,
        'status', s.status,
        'responseTime', s.response_time,
        'conversations', coalesce((
            select json_agg(
                json_build_object(
                    'id', t.id,
                    'sessionId', t.session_id,
                    'modelName', t.model,
                    'userPrompt', t.prompt,
                    'response', t.response,
                    'inputTokens', t.input_tokens,
                    'outputTokens', t.output_tokens,
                    'cost', minuted.usd(t.cost_pico),
                    'responseTime', t.response_time,
                    'status', t.status,
                    'createdAt', minuted.iso(t.created_at),
                    'updatedAt', minuted.iso(t.updated_at))
                order by t.id)
            from minuted.turns_now($1::uuid, s.id, $3::bigint * interval '1 ms') t), '[]'))
from minuted.sessions_now($1::uuid, $3::bigint * interval '1 ms') s
where s.id = $2::uuid
