-- (the columns of src/api/message.c): the message $3 in the chat $2 of user $1; no row: not there, or not theirs
-- in binary: a page of 50 takes PostgreSQL half the time that text takes
select m.id, m.role, m.content, m.name, m.function_call, m.tool_calls, m.metadata,
    m.tokens, m.prompt_tokens, m.completion_tokens, m.latency, m.model, m.cost_pico, m.call_id,
    m.created_at, m.updated_at
from minuted.messages m
where m.user_id = $1::uuid
    and m.chat_id = $2::uuid
    and m.id = $3::uuid
