-- What lists and sums of logs are read by.

-- The newest of a user, by time, and by the filters that may match few of very
-- many rows.  No index has a column that the end of a call changes, so that
-- writing the end touches none of them (but for error, which a good end leaves
-- null).

create index events_by_time on minuted.events (user_id, logged_at, id);
create index events_by_subject on minuted.events (user_id, subject, logged_at);

create index calls_ingested_by_time on minuted.calls (user_id, started_at, id)
    where kind = 'ingest';
create index calls_by_end_user on minuted.calls (user_id, lower(end_user), id)
    where end_user is not null;
create index calls_by_model on minuted.calls (user_id, model, id)
    where model is not null;
create index calls_with_error on minuted.calls (user_id, id)
    where error is not null;

-- Sums of tokens by how the calls ended, without reading the calls.
alter table minuted.usage_deltas
    add column uncompleted_prompt_tokens bigint not null default 0,
    add column uncompleted_completion_tokens bigint not null default 0;
alter table minuted.usage_hourly
    add column uncompleted_prompt_tokens bigint not null default 0,
    add column uncompleted_completion_tokens bigint not null default 0;
comment on column minuted.usage_deltas.uncompleted_prompt_tokens is 'Those of calls that failed, were cancelled or interrupted.';
comment on column minuted.usage_deltas.uncompleted_completion_tokens is 'Those of calls that failed, were cancelled or interrupted.';
comment on column minuted.usage_hourly.uncompleted_prompt_tokens is 'Those of calls that failed, were cancelled or interrupted.';
comment on column minuted.usage_hourly.uncompleted_completion_tokens is 'Those of calls that failed, were cancelled or interrupted.';

-- What readers sum, without the histograms between.
create index usage_hourly_sums on minuted.usage_hourly (user_id, hour)
    include (key_id, kind, model, environment, calls, failed, prompt_tokens,
        completion_tokens, uncompleted_prompt_tokens,
        uncompleted_completion_tokens, cost_pico);

create or replace function minuted.usage_fold() returns bigint
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
            sum(uncompleted_prompt_tokens)::bigint as uncompleted_prompt_tokens,
            sum(uncompleted_completion_tokens)::bigint as uncompleted_completion_tokens,
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
            completion_tokens, uncompleted_prompt_tokens,
            uncompleted_completion_tokens, cost_pico, cost_unknown,
            latency_us, latency_counts)
        select user_id, hour, key_id, kind, provider, model, environment,
            calls, failed, prompt_tokens, completion_tokens,
            uncompleted_prompt_tokens, uncompleted_completion_tokens,
            cost_pico, cost_unknown, latency_us, latency_counts
        from summed
        order by user_id, hour, key_id, kind, provider, model, environment
        on conflict (user_id, hour, key_id, kind, provider, model, environment)
        do update set
            calls = h.calls + excluded.calls,
            failed = h.failed + excluded.failed,
            prompt_tokens = h.prompt_tokens + excluded.prompt_tokens,
            completion_tokens = h.completion_tokens + excluded.completion_tokens,
            uncompleted_prompt_tokens = h.uncompleted_prompt_tokens
                + excluded.uncompleted_prompt_tokens,
            uncompleted_completion_tokens = h.uncompleted_completion_tokens
                + excluded.uncompleted_completion_tokens,
            cost_pico = h.cost_pico + excluded.cost_pico,
            cost_unknown = h.cost_unknown + excluded.cost_unknown,
            latency_us = h.latency_us + excluded.latency_us,
            latency_counts = minuted.counts_add(h.latency_counts, excluded.latency_counts)
    )
    select count(*) into folded from moved;
    return folded;
end
$$;
