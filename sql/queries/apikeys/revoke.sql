-- (prefix, user_id, id) of the keys whose prefix or id is $1, now inactive
update minuted.api_keys
set is_active = false,
    updated_at = now()
where prefix = $1
    or id::text = $1
returning prefix, user_id, id
