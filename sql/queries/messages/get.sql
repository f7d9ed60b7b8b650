-- (the columns of src/api/message_json.c): the message $3 in the chat $2 of user $1; no row: not there, or not theirs
select m.id, m.chat_id, m.role, m.content, m.name, m.function_call, m.tool_calls, m.metadata,
    m.tokens, m.prompt_tokens, m.completion_tokens, m.latency, m.model, m.cost_pico, m.call_id,
    minuted.iso(m.created_at), minuted.iso(m.updated_at)
from minuted.messages m
where m.user_id = $1::uuid
    and m.chat_id = $2::uuid
    and m.id = $3::uuid
