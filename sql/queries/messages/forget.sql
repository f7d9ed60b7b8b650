-- nothing; of the questions in chat $2 of user $1 since id $3 whose ids end like that one, those without an answer are gone
with chat as materialized (
    select c.id
    from minuted.chats c
    where c.user_id = $1::uuid
        and c.id = $2::uuid
    for no key update
), gone as (
    delete from minuted.messages m
    using chat
    where m.user_id = $1::uuid
        and m.chat_id = chat.id
        and m.id > $3::uuid
        and right(m.id::text, 17) = right($3::uuid::text, 17)
        and m.role = 'user'
        and 'assistant' is distinct from (
            select n.role
            from minuted.messages n
            where n.user_id = $1::uuid
                and n.chat_id = chat.id
                and n.id > m.id
            order by n.id
            limit 1)
    returning m.id
), counted as (
    select count(*) as n
    from gone
)
update minuted.chats c
set message_count = c.message_count - counted.n
from counted
where c.user_id = $1::uuid
    and c.id = $2::uuid
    and counted.n > 0
