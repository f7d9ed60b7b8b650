-- (user_id) when there was something to revoke: the whole family of the refresh token with hash $1
with family as (
    select user_id, family_id
    from minuted.refresh_tokens
    where token_hash = $1
), revoked as (
    update minuted.refresh_tokens t
    set revoked_at = now()
    from family
    where t.user_id = family.user_id
        and t.family_id = family.family_id
        and t.revoked_at is null
    returning t.user_id
)
select user_id
from revoked
limit 1
