-- (total, the columns of get.sql) of the chat $2 of user $1, at least one row if it is there: in the role $3 (null: any), oldest first, after the id $4 when not null, at most $5 from the $6th; total is $7 when not null
-- in binary: a page of 50 takes PostgreSQL half the time that text takes
select t.total, m.id, m.role, m.content, m.name, m.function_call, m.tool_calls, m.metadata,
    m.tokens, m.prompt_tokens, m.completion_tokens, m.latency, m.model, m.cost_pico, m.call_id,
    m.created_at, m.updated_at
from (
    select case
            when $7::bigint is not null then $7::bigint
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
    select *
    from minuted.messages p
    where p.user_id = $1::uuid
        and p.chat_id = $2::uuid
        and p.id > coalesce($4::uuid, '00000000-0000-0000-0000-000000000000')
        and ($3::text is null or p.role = $3::text)
    order by p.id
    limit $5::bigint offset $6::bigint
) m on true
