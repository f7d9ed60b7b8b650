-- (id) of a new refresh token $3 of user $1 with family $4, hash $5, good for $6 ms; no row: the user is disabled, or no longer at token version $2
with asker as (
    select id
    from minuted.users
    where id = $1::uuid
        and token_version = $2::bigint
        and disabled_at is null
    for share
)
insert into minuted.refresh_tokens (user_id, id, family_id, token_hash, expires_at)
select id, $3::uuid, $4::uuid, $5, now() + $6::bigint * interval '1 millisecond'
from asker
returning id
