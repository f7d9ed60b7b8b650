-- How many calls that have been running for more than $1 ms, and so are nobody's, or whose id is $2 of user $3, are interrupted now: again until it is 0.
-- planned anew: without an id, only the old ones are looked at
with old as (
    select user_id, id
    from minuted.calls
    where status = 'running'
        and (started_at < now() - $1::bigint * interval '1 millisecond'
            or (user_id = $3::uuid and id = $2::uuid))
    limit 1000
    for update skip locked
), ended as (
    update minuted.calls c
    set status = 'interrupted', error = 'owner_gone', finished_at = now()
    from old
    where c.user_id = old.user_id and c.id = old.id and c.status = 'running'
    returning c.*
), counted as (
    insert into minuted.usage_deltas (
        user_id, hour, key_id, kind, provider, model, environment, calls,
        failed, prompt_tokens, completion_tokens, uncompleted_prompt_tokens,
        uncompleted_completion_tokens, cost_pico, cost_unknown, latency_counts)
    select
        user_id,
        date_trunc('hour', started_at, 'UTC'),
        coalesce(key_id, '00000000-0000-0000-0000-000000000000'),
        kind,
        coalesce(provider, ''),
        coalesce(model, ''),
        coalesce(environment, ''),
        1,
        1,
        coalesce(prompt_tokens, 0),
        coalesce(completion_tokens, 0),
        coalesce(prompt_tokens, 0),
        coalesce(completion_tokens, 0),
        coalesce(cost_pico, 0),
        (cost_pico is null)::int,
        array_fill(0::bigint, array[25])
    from ended
)
select count(*) from ended
