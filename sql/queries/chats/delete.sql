-- one row when the chat $2 of user $1 is gone now, with its messages
delete from minuted.chats c
where c.user_id = $1::uuid
    and c.id = $2::uuid
returning 1
