-- Playground sessions as they are read.  Who died before it could say how a
-- call ended has left an open turn: the log of calls says then what became of
-- it, and a turn that is open longer than any call may last has failed.

-- Not in SQL: it would be planned, with every month's partition, for each
-- statement that could need it, which hardly any row does.
create function minuted.call_now(owner uuid, call uuid)
    returns table (
        status text, prompt_tokens bigint, completion_tokens bigint,
        cost_pico bigint, latency_us bigint, response text)
    language plpgsql stable parallel safe rows 1
    set search_path = pg_catalog, pg_temp as
$$
begin
    return query
    select c.status, c.prompt_tokens, c.completion_tokens, c.cost_pico, c.latency_us, x.response
    from minuted.calls c
    left join minuted.call_texts x
        on x.user_id = c.user_id
        and x.id = c.id
    where c.user_id = owner
        and c.id = call;
end
$$;
comment on function minuted.call_now(uuid, uuid) is 'What the log says of a call; no row: not there, or not theirs.';

create function minuted.turns_now(owner uuid, session uuid, patience interval)
    returns table (
        id uuid, session_id uuid, model text, prompt text, response text,
        input_tokens bigint, output_tokens bigint, cost_pico bigint,
        response_time bigint, status text, created_at timestamptz,
        updated_at timestamptz)
    language sql stable parallel safe
begin atomic
    select
        t.id, t.session_id, t.model, t.prompt,
        coalesce(c.response, t.response),
        coalesce(t.input_tokens, c.prompt_tokens),
        coalesce(t.output_tokens, c.completion_tokens),
        coalesce(t.cost_pico, c.cost_pico),
        coalesce(t.response_time, c.latency_us / 1000),
        case
            when t.status not in ('PENDING', 'STREAMING') then t.status
            when c.status = 'completed' then 'COMPLETED'
            when c.status <> 'running' then 'ERROR'
            when t.created_at < now() - patience then 'ERROR'
            when c.status = 'running' then 'STREAMING'
            else t.status
        end,
        t.created_at,
        t.updated_at
    from minuted.session_turns t
    left join lateral (
        select n.*
        from minuted.call_now(t.user_id, t.id) n
        where t.status in ('PENDING', 'STREAMING')
        offset 0 -- so that closed turns are not looked up
    ) c on true
    where t.user_id = owner
        and t.session_id = session;
end;
comment on function minuted.turns_now(uuid, uuid, interval) is 'The turns of a session as they stand, also where nobody lives who could write it down.';

create function minuted.sessions_now(owner uuid, patience interval)
    returns table (
        id uuid, prompt text, models text[], status text, total_cost bigint,
        total_tokens bigint, response_time bigint, created_at timestamptz,
        updated_at timestamptz)
    language sql stable parallel safe
begin atomic
    select
        s.id, s.prompt, s.models,
        coalesce(n.status, s.status),
        coalesce(n.total_cost, s.total_cost),
        coalesce(n.total_tokens, s.total_tokens),
        coalesce(n.response_time, s.response_time),
        s.created_at,
        s.updated_at
    from minuted.sessions s
    left join lateral (
        select
            case
                when bool_or(t.status in ('PENDING', 'STREAMING')) then 'ACTIVE'
                when bool_or(t.status = 'COMPLETED' and t.is_last) then 'COMPLETED'
                else 'ERROR'
            end as status,
            sum(t.cost_pico)::bigint as total_cost,
            sum(coalesce(t.input_tokens, 0) + coalesce(t.output_tokens, 0))::bigint as total_tokens,
            max(t.response_time) filter (where t.is_last) as response_time
        from (
            -- the turns of one run have one time of creation
            select l.*, l.created_at = max(l.created_at) over () as is_last
            from minuted.turns_now(s.user_id, s.id, patience) l
            where s.status = 'ACTIVE'
        ) t
        having count(*) > 0
    ) n on true
    where s.user_id = owner;
end;
comment on function minuted.sessions_now(uuid, interval) is 'The sessions of a user as they stand; only the active ones are looked into.';

create function minuted.session_models(before text[], turns json) returns text[]
    language sql immutable parallel safe
    return before || array(
        select t.model
        from json_to_recordset(turns) as t (id uuid, model text)
        where t.model <> all (before)
        order by t.id);
comment on function minuted.session_models(text[], json) is 'The models of a session and those of new turns [{id,model}].';
