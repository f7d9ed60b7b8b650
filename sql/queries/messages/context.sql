-- (role, content, name, function_call, tool_calls, metadata) of the chat $2 of user $1, newest first: the newest message, and those before it up to $3 bytes and 1000 messages
select m.role, m.content, m.name, m.function_call, m.tool_calls, m.metadata
from (
    select n.*,
        row_number() over (order by n.id desc) as n,
        sum(octet_length(n.content)
            + coalesce(octet_length(n.function_call::text), 0)
            + coalesce(octet_length(n.tool_calls::text), 0)) over (order by n.id desc) as bytes
    from (
        select *
        from minuted.messages l
        where l.user_id = $1::uuid
            and l.chat_id = $2::uuid
        order by l.id desc
        limit 1000
    ) n
) m
where m.bytes <= $3::bigint
    or m.n = 1
order by m.n
