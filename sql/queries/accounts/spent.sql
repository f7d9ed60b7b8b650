-- (user_id, family_id, microseconds since its use) of the refresh token with hash $1, when it was used and its family lives
select user_id, family_id,
    (extract(epoch from clock_timestamp() - used_at) * 1000000)::bigint
from minuted.refresh_tokens
where token_hash = $1
    and used_at is not null
    and revoked_at is null
