-- (user_id, family_id, token_version): the refresh token with hash $1 is used up and $2 with hash $3 is in its place, with the same end; no row: it was used, revoked or over, or its user is disabled
with used as (
    update minuted.refresh_tokens
    set used_at = now()
    where token_hash = $1
        and used_at is null
        and revoked_at is null
        and expires_at > now()
        and exists (select from minuted.users u
            where u.id = refresh_tokens.user_id
                and u.disabled_at is null)
    returning user_id, family_id, expires_at
), made as (
    insert into minuted.refresh_tokens (user_id, id, family_id, token_hash, expires_at)
    select user_id, $2::uuid, family_id, $3, expires_at
    from used
)
select used.user_id, used.family_id, u.token_version
from used
join minuted.users u on u.id = used.user_id
