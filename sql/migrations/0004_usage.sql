-- Folding the deltas into the hours.

-- The deltas come and go all day: vacuum by number, not by share.
alter table minuted.usage_deltas set (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000
);

create function minuted.usage_fold() returns bigint
    language plpgsql as
$$
declare
    folded bigint;
begin
    -- One at a time: the others have nothing to wait for.
    if not pg_try_advisory_xact_lock(hashtextextended('minuted.usage_fold', 0)) then
        return 0;
    end if;
    with moved as (
        delete from minuted.usage_deltas
        returning *
    ),
    summed as (
        select user_id, hour, key_id, kind, provider, model, environment,
            sum(calls)::bigint as calls,
            sum(failed)::bigint as failed,
            sum(prompt_tokens)::bigint as prompt_tokens,
            sum(completion_tokens)::bigint as completion_tokens,
            sum(cost_pico)::bigint as cost_pico,
            sum(cost_unknown)::bigint as cost_unknown,
            sum(latency_us)::bigint as latency_us,
            minuted.counts_sum(latency_counts) as latency_counts
        from moved
        group by user_id, hour, key_id, kind, provider, model, environment
    ),
    added as (
        insert into minuted.usage_hourly as h (user_id, hour, key_id, kind,
            provider, model, environment, calls, failed, prompt_tokens,
            completion_tokens, cost_pico, cost_unknown, latency_us,
            latency_counts)
        select user_id, hour, key_id, kind, provider, model, environment,
            calls, failed, prompt_tokens, completion_tokens, cost_pico,
            cost_unknown, latency_us, latency_counts
        from summed
        order by user_id, hour, key_id, kind, provider, model, environment
        on conflict (user_id, hour, key_id, kind, provider, model, environment)
        do update set
            calls = h.calls + excluded.calls,
            failed = h.failed + excluded.failed,
            prompt_tokens = h.prompt_tokens + excluded.prompt_tokens,
            completion_tokens = h.completion_tokens + excluded.completion_tokens,
            cost_pico = h.cost_pico + excluded.cost_pico,
            cost_unknown = h.cost_unknown + excluded.cost_unknown,
            latency_us = h.latency_us + excluded.latency_us,
            latency_counts = minuted.counts_add(h.latency_counts, excluded.latency_counts)
    )
    select count(*) into folded from moved;
    return folded;
end
$$;
comment on function minuted.usage_fold() is 'Moves usage_deltas into usage_hourly; returns how many, 0 also while another does it.';
