-- one row when the chat $2 of user $1 has the answer $3 of a model; the same answer a second time changes nothing; no row: the chat is gone
with chat as (
    update minuted.chats c
    set message_count = c.message_count + case
            when exists (
                select
                from minuted.messages m
                where m.user_id = $1::uuid
                    and m.id = $3::uuid)
            then 0
            else 1
        end,
        updated_at = now()
    where c.user_id = $1::uuid
        and c.id = $2::uuid
    returning c.id
), added as (
    insert into minuted.messages (
        user_id, id, chat_id, role, content, tool_calls, metadata, tokens, prompt_tokens,
        completion_tokens, latency, model, cost_pico, call_id)
    select $1::uuid, $3::uuid, chat.id, 'assistant', $4::text, $5::json, $6::json, $7::bigint,
        $8::bigint, $9::bigint, $10::bigint, $11::text, $12::bigint, $13::uuid
    from chat
    on conflict do nothing
)
select 1
from chat
