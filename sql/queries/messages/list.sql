-- (total, the columns of get.sql) of the chat $2 of user $1, at least one row if it is there: in the role $3 (null: any), in the order $4 of asc and desc, after the id $5 when not null, at most $6 from the $7th; total is $8 when not null
--
-- Only the branch of $4 runs, and reads its index no further than the page.
select t.total, m.id, m.chat_id, m.role, m.content, m.name, m.function_call, m.tool_calls, m.metadata,
    m.tokens, m.prompt_tokens, m.completion_tokens, m.latency, m.model, m.cost_pico, m.call_id,
    minuted.iso(m.created_at), minuted.iso(m.updated_at)
from (
    select case
            when $8::bigint is not null then $8::bigint
            when $3::text is null then c.message_count
            else (
                select count(*)
                from minuted.messages r
                where r.user_id = $1::uuid
                    and r.chat_id = $2::uuid
                    and r.role = $3::text)
        end as total
    from minuted.chats c
    where c.user_id = $1::uuid
        and c.id = $2::uuid
) t
left join lateral (
    (select *
    from minuted.messages u
    where $4::text = 'asc'
        and u.user_id = $1::uuid
        and u.chat_id = $2::uuid
        and u.id > coalesce($5::uuid, '00000000-0000-0000-0000-000000000000')
        and ($3::text is null or u.role = $3::text)
    order by u.id
    limit $6::bigint offset $7::bigint)
    union all
    (select *
    from minuted.messages d
    where $4::text = 'desc'
        and d.user_id = $1::uuid
        and d.chat_id = $2::uuid
        and d.id < coalesce($5::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
        and ($3::text is null or d.role = $3::text)
    order by d.id desc
    limit $6::bigint offset $7::bigint)
) m on true
