-- (the new chat $2 of user $1 as JSON): title $3, source $4, tags $5 as a JSON array, metadata $6
insert into minuted.chats as c (user_id, id, title, source, tags, metadata)
values (
    $1::uuid,
    $2::uuid,
    $3::text,
    $4::text,
    array(select json_array_elements_text($5::json)),
    $6::json)
returning minuted.chat_json(c)
