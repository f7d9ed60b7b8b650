-- (the chat $2 of user $1 as JSON) with a new title $3, tags $4 as a JSON array, metadata $5, is_active $6; null leaves the old one
update minuted.chats c
set title = coalesce($3::text, c.title),
    tags = case
        when $4::json is null then c.tags
        else array(select json_array_elements_text($4::json))
    end,
    metadata = coalesce($5::json, c.metadata),
    is_active = coalesce($6::boolean, c.is_active),
    updated_at = now()
where c.user_id = $1::uuid
    and c.id = $2::uuid
returning minuted.chat_json(c)
