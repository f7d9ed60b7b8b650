-- nothing; deletes the refresh tokens of user $1 that are over
delete from minuted.refresh_tokens
where user_id = $1::uuid
    and expires_at < now()
