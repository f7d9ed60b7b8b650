-- (the columns of get.sql): the message $3 in the chat $2 of user $1 with new content $4, metadata $5, tokens $6, prompt_tokens $7, completion_tokens $8, latency $9; null leaves the old one
-- in binary: a page of 50 takes PostgreSQL half the time that text takes
update minuted.messages m
set content = coalesce($4::text, m.content),
    metadata = coalesce($5::json, m.metadata),
    tokens = coalesce($6::bigint, m.tokens),
    prompt_tokens = coalesce($7::bigint, m.prompt_tokens),
    completion_tokens = coalesce($8::bigint, m.completion_tokens),
    latency = coalesce($9::bigint, m.latency),
    updated_at = now()
where m.user_id = $1::uuid
    and m.chat_id = $2::uuid
    and m.id = $3::uuid
returning m.id, m.role, m.content, m.name, m.function_call, m.tool_calls, m.metadata,
    m.tokens, m.prompt_tokens, m.completion_tokens, m.latency, m.model, m.cost_pico, m.call_id,
    m.created_at, m.updated_at
