-- nothing; revokes the refresh tokens of user $1 in the family $2
update minuted.refresh_tokens
set revoked_at = now()
where user_id = $1::uuid
    and family_id = $2::uuid
    and revoked_at is null
