-- Calls whose owner is gone with all that it knew of them (the machine lost
-- power, its memory is empty): they are found by their age.

-- Of all users, and only the few that run.
create index calls_running on minuted.calls (started_at)
    where status = 'running';

-- Who writes a call's end as interrupted cannot know whether its record still
-- comes, from a spool or from a worker that was slow: then the record counts,
-- and what was counted before is taken back.
create function minuted.uncount_interrupted() returns trigger
    language plpgsql as
$$
declare
    bucket int := width_bucket(old.latency_us, array[
        1000, 2000, 5000, 10000, 20000, 50000, 100000, 150000, 200000,
        300000, 500000, 700000, 1000000, 1500000, 2000000, 3000000,
        5000000, 7000000, 10000000, 15000000, 20000000, 30000000,
        60000000, 120000000]::bigint[]);
begin
    insert into minuted.usage_deltas (
        user_id, hour, key_id, kind, provider, model, environment, calls,
        failed, prompt_tokens, completion_tokens, uncompleted_prompt_tokens,
        uncompleted_completion_tokens, cost_pico, cost_unknown, latency_us,
        latency_counts)
    values (
        old.user_id,
        date_trunc('hour', old.started_at, 'UTC'),
        coalesce(old.key_id, '00000000-0000-0000-0000-000000000000'),
        old.kind,
        coalesce(old.provider, ''),
        coalesce(old.model, ''),
        coalesce(old.environment, ''),
        -1,
        -1,
        -coalesce(old.prompt_tokens, 0),
        -coalesce(old.completion_tokens, 0),
        -coalesce(old.prompt_tokens, 0),
        -coalesce(old.completion_tokens, 0),
        -coalesce(old.cost_pico, 0),
        -(old.cost_pico is null)::int,
        -coalesce(old.latency_us, 0),
        case when bucket is null then array_fill(0::bigint, array[25])
            else array_fill(0::bigint, array[bucket]) || -1::bigint
                || array_fill(0::bigint, array[24 - bucket]) end);
    return null;
end
$$;
comment on function minuted.uncount_interrupted() is 'Takes the count of an interrupted call back when its record has come after all.';

create trigger calls_interrupted_end_otherwise
    after update of status on minuted.calls
    for each row
    when (old.status = 'interrupted')
    execute function minuted.uncount_interrupted();

-- What a worker held when it died is free again as soon as its calls are
-- interrupted.
alter table minuted.idempotency_keys add column owner uuid;
comment on column minuted.idempotency_keys.owner is 'The life of the worker that took the key: when it was cut off, nobody answers any more.';
create index idempotency_keys_by_owner on minuted.idempotency_keys (owner)
    where state = 'running';
