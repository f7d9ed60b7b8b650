-- Every limit, by user and key: user_id, key_id, requests, window (ms), calls, tokens a minute, budget (pico-dollars); -1 is none.
select
    user_id,
    key_id,
    coalesce(requests, -1),
    window_s * 1000,
    coalesce(calls, -1),
    coalesce(tokens_per_minute, -1),
    coalesce(budget_pico, -1)
from minuted.limits
order by user_id, key_id
