-- one row when the message $3 in the chat $2 of user $1 is gone now
--
-- The chat first, as everybody does: two that wait for each other are a deadlock.
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
        and m.id = $3::uuid
    returning m.chat_id
)
update minuted.chats c
set message_count = c.message_count - 1
from gone
where c.user_id = $1::uuid
    and c.id = gone.chat_id
returning 1
