-- The shape of a chat in answers, for the statements of sql/queries/chats.

create function minuted.chat_json(c minuted.chats) returns json
    language sql stable parallel safe
    return json_build_object(
        'id', (c).id,
        '_id', (c).id,
        'userId', (c).user_id,
        'title', (c).title,
        'source', (c).source,
        'tags', (c).tags,
        'metadata', (c).metadata,
        'isActive', (c).is_active,
        'createdAt', minuted.iso((c).created_at),
        'updatedAt', minuted.iso((c).updated_at));
comment on function minuted.chat_json(minuted.chats) is 'A chat as the API writes it.';

-- No statement looks for the text of messages, and keeping this index was half
-- of what a new message cost, and seconds for one of a million characters.
drop index minuted.messages_by_text;
