-- Ids that clients make can be of any version and of any time.  Those of months
-- without a partition are in the default one, where an id says nothing of the
-- age of its row: there the time of the row does.

create or replace function minuted.partitions_expire(parent text, keep_days int, most bigint)
    returns bigint
    language plpgsql
    set search_path = pg_catalog, pg_temp
    set timezone = 'UTC' as
$$
declare
    until timestamptz := now() - make_interval(days => keep_days);
    child text;
    gone bigint;
    dropped bigint := 0;
begin
    if keep_days is null or keep_days < 1 then
        raise exception 'at least one day has to be kept'
            using errcode = 'invalid_parameter_value';
    end if;
    perform pg_advisory_xact_lock(hashtextextended('minuted.partitions', 0));
    -- Not last month's: it would be made again at once.
    for child in
        select c.relname
        from pg_inherits i
        join pg_class c on c.oid = i.inhrelid
        where i.inhparent = format('minuted.%I', parent)::regclass
            and c.relname ~ '_[0-9]{4}_[0-9]{2}$'
            and to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month'
                <= least(until, date_trunc('month', now()) - interval '1 month')
    loop
        execute format('drop table minuted.%I', child);
        dropped := dropped + 1;
    end loop;
    execute format('delete from minuted.%1$I where (user_id, id) in'
        ' (select user_id, id from minuted.%1$I'
        ' where id < %2$L and tableoid <> %3$L::regclass limit %4$s)',
        parent, minuted.uuid_floor(until),
        format('minuted.%I', parent || '_default'), most);
    get diagnostics gone = row_count;
    dropped := dropped + gone;
    execute format('delete from minuted.%1$I where (user_id, id) in'
        ' (select d.user_id, d.id from minuted.%1$I d where '
        || case parent
            when 'events' then 'd.logged_at < %2$L'
            when 'calls' then 'd.started_at < %2$L'
            else 'not exists (select from minuted.calls c'
                ' where c.user_id = d.user_id and c.id = d.id'
                ' and c.started_at >= %2$L)'
        end || ' limit %3$s)', parent || '_default', until, most);
    get diagnostics gone = row_count;
    return dropped + gone;
end
$$;

-- Texts before their calls, which say how old they are.
create or replace function minuted.partitions_drop(keep_days int) returns bigint
    language sql
    security definer
    set search_path = pg_catalog, pg_temp
    begin atomic
        with pages as (
            delete from minuted.search_pages
            where hi < minuted.uuid_floor(now() - make_interval(days => keep_days))
                and newest < now() - make_interval(days => keep_days)
        )
        select sum(minuted.partitions_expire(parent, keep_days, 10000))::bigint
        from unnest(array['call_texts', 'calls', 'events']) as parent;
    end;
