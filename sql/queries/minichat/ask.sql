-- one row when user $1 has the question $2 with the text $3 in their own chat, which is made at the first
with chat as (
    insert into minuted.chats as c (user_id, id, title, source, message_count)
    values ($1::uuid, $1::uuid, 'Mini chat', 'api', 1)
    on conflict (user_id, id) do update
    set message_count = c.message_count + 1,
        updated_at = now()
    returning c.id
), question as (
    insert into minuted.messages (user_id, id, chat_id, role, content)
    select $1::uuid, $2::uuid, chat.id, 'user', $3::text
    from chat
)
select 1
from chat
