-- nothing; revokes the refresh tokens of user $1 outside the family $2 (null: all)
update minuted.refresh_tokens
set revoked_at = now()
where user_id = $1::uuid
    and family_id is distinct from $2::uuid
    and revoked_at is null
