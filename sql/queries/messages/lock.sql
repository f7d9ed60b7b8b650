-- (metadata) of the message $3 in the chat $2 of user $1, which nobody else changes until the transaction ends
select m.metadata
from minuted.messages m
where m.user_id = $1::uuid
    and m.chat_id = $2::uuid
    and m.id = $3::uuid
for no key update
