-- (role, content) of what was said in the chat $2 of user $1, oldest first: the newest 200 messages, up to $3 bytes
select m.role, m.content
from (
    select n.*,
        sum(octet_length(n.content)) over (order by n.id desc) as bytes
    from (
        select l.id, l.role, l.content
        from minuted.messages l
        where l.user_id = $1::uuid
            and l.chat_id = $2::uuid
            and l.role in ('user', 'assistant', 'system')
            and l.content <> ''
            and l.function_call is null
            and l.tool_calls is null
        order by l.id desc
        limit 200
    ) n
) m
where m.bytes <= $3::bigint
order by m.id
