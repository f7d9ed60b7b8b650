-- one row when the turn $3 in the session $2 of user $1 has ended now: with the status $4, response $5, tokens in $6 and out $7, cost $8 and time $9; turns younger than $10 ms may still be under way; a second time changes nothing
--
-- In a transaction that holds the session's row: the last one to end sees the
-- others.
with turn as (
    update minuted.session_turns t
    set status = $4::text,
        response = $5::text,
        input_tokens = $6::bigint,
        output_tokens = $7::bigint,
        cost_pico = $8::bigint,
        response_time = $9::bigint,
        updated_at = now()
    where t.user_id = $1::uuid
        and t.session_id = $2::uuid
        and t.id = $3::uuid
        and t.status in ('PENDING', 'STREAMING')
    returning t.*
), others as (
    select
        coalesce(bool_or(o.status in ('PENDING', 'STREAMING')
            and o.created_at > now() - $10::bigint * interval '1 ms'), false) as open,
        coalesce(bool_or(o.status = 'COMPLETED' and o.created_at = turn.created_at), false) as completed,
        max(o.response_time) filter (where o.created_at = turn.created_at) as response_time
    from turn
    left join minuted.session_turns o
        on o.user_id = turn.user_id
        and o.session_id = turn.session_id
        and o.id <> turn.id
)
update minuted.sessions s
set status = case
        when others.open then 'ACTIVE'
        when others.completed or turn.status = 'COMPLETED' then 'COMPLETED'
        else 'ERROR'
    end,
    total_cost = s.total_cost + coalesce(turn.cost_pico, 0),
    total_tokens = s.total_tokens + coalesce(turn.input_tokens, 0) + coalesce(turn.output_tokens, 0),
    response_time = greatest(turn.response_time, others.response_time),
    updated_at = now()
from turn
cross join others
where s.user_id = turn.user_id
    and s.id = turn.session_id
returning 1
