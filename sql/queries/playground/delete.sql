-- one row when the session $2 of user $1 is gone now, with its turns
delete from minuted.sessions s
where s.user_id = $1::uuid
    and s.id = $2::uuid
returning 1
