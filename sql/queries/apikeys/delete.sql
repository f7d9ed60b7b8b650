-- (id) of the deleted key $2 of user $1; no row: not there, or not theirs
delete from minuted.api_keys
where user_id = $1::uuid
    and id = $2::uuid
returning id
