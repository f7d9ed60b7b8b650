-- The limits, or those of user $1, for people to read: user, key, requests, window, calls, tokens a minute, USD a month, USD spent.
select
    username,
    coalesce(key, ''),
    coalesce(requests::text, ''),
    window_s,
    coalesce(calls::text, ''),
    coalesce(tokens_per_minute::text, ''),
    coalesce(monthly_usd::text, ''),
    spent_usd
from admin.limits
where $1::text is null or lower(username) = lower($1) or email = lower($1)
order by username, key nulls first
