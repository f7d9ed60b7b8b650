-- (time of creation) when the chat $2 of user $1 has the messages of the JSON array $3 now, $4 of them; no row: not there, or not theirs
--
-- What it costs does not depend on how many the chat has.
with chat as (
    update minuted.chats
    set message_count = message_count + $4::bigint,
        updated_at = now()
    where user_id = $1::uuid
        and id = $2::uuid
    returning id, updated_at
), added as (
    insert into minuted.messages (
        user_id, id, chat_id, role, content, name, function_call, tool_calls,
        metadata, tokens, prompt_tokens, completion_tokens, latency)
    select $1::uuid, m.id, chat.id, m.role, m.content, m.name, m."functionCall", m."toolCalls",
        coalesce(m.metadata, '{}'), m.tokens, m."promptTokens", m."completionTokens", m.latency
    from chat
    cross join json_to_recordset($3::json) as m (
        id uuid, role text, content text, name text, "functionCall" json, "toolCalls" json,
        metadata json, tokens bigint, "promptTokens" bigint, "completionTokens" bigint,
        latency bigint)
)
select minuted.iso(chat.updated_at)
from chat
