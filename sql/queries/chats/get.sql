-- (the chat $2 of user $1 as JSON); no row: not there, or not theirs
select minuted.chat_json(c)
from minuted.chats c
where c.user_id = $1::uuid
    and c.id = $2::uuid
