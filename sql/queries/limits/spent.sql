-- Pico-dollars that user $1 (with key $2, unless it is all zero) has spent since $3.
with costs as (
    select key_id, cost_pico
    from minuted.usage_hourly
    where user_id = $1::uuid and hour >= $3::timestamptz
    union all
    select key_id, cost_pico
    from minuted.usage_deltas
    where user_id = $1::uuid and hour >= $3::timestamptz
)
select coalesce(sum(cost_pico), 0)::bigint
from costs
where $2::uuid = '00000000-0000-0000-0000-000000000000' or key_id = $2::uuid
