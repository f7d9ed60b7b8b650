-- Partitions by month: made ahead of time, dropped when they are too old.  An
-- id that falls into none lands in the default partition and is moved when the
-- month's own is made.
--
-- The functions that workers may call run with the owner's rights, because
-- workers have no DDL.

create table minuted.calls_default partition of minuted.calls default;
create table minuted.call_texts_default partition of minuted.call_texts default;
create table minuted.events_default partition of minuted.events default;
comment on table minuted.calls_default is 'Calls of months without a partition.';
comment on table minuted.call_texts_default is 'Texts of months without a partition.';
comment on table minuted.events_default is 'Events of months without a partition.';

create function minuted.partition_add(parent text, month timestamptz) returns boolean
    language plpgsql
    set search_path = pg_catalog, pg_temp
    set timezone = 'UTC' as
$$
declare
    child text := parent || to_char(month, '_YYYY_MM');
    lowest uuid := minuted.uuid_floor(month);
    above uuid := minuted.uuid_floor(month + interval '1 month');
begin
    if to_regclass(format('minuted.%I', child)) is not null then
        return false;
    end if;
    execute format('create table minuted.%I (like minuted.%I'
        ' including defaults including constraints including indexes)',
        child, parent);
    execute format('comment on table minuted.%I is %L', child,
        to_char(month, 'FMMonth YYYY') || ' of ' || parent || '.');
    execute format('with moved as (delete from minuted.%I'
        ' where id >= %L and id < %L returning *)'
        ' insert into minuted.%I select * from moved',
        parent || '_default', lowest, above, child);
    execute format('alter table minuted.%I attach partition minuted.%I'
        ' for values from (%L) to (%L)', parent, child, lowest, above);
    return true;
end
$$;
comment on function minuted.partition_add(text, timestamptz) is 'Makes the partition of a month unless it is there.';
revoke execute on function minuted.partition_add(text, timestamptz) from public;

create function minuted.partitions_ensure() returns bigint
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
    set timezone = 'UTC' as
$$
declare
    parent text;
    months int;
    made bigint := 0;
begin
    perform pg_advisory_xact_lock(hashtextextended('minuted.partitions', 0));
    foreach parent in array array['calls', 'call_texts', 'events'] loop
        for months in -1 .. 3 loop
            if minuted.partition_add(parent, date_trunc('month', now())
                + make_interval(months => months)) then
                made := made + 1;
            end if;
        end loop;
    end loop;
    return made;
end
$$;
comment on function minuted.partitions_ensure() is 'Makes the partitions of the last month to three months ahead; returns how many.';
revoke execute on function minuted.partitions_ensure() from public;
grant execute on function minuted.partitions_ensure() to minuted_worker;

create function minuted.partitions_expire(parent text, keep_days int, most bigint)
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
    execute format('delete from minuted.%I where (user_id, id) in'
        ' (select user_id, id from minuted.%I where id < %L limit %s)',
        parent, parent, minuted.uuid_floor(until), most);
    get diagnostics gone = row_count;
    return dropped + gone;
end
$$;
comment on function minuted.partitions_expire(text, int, bigint) is 'Drops the months that are older, then deletes up to so many rows that are; returns partitions and rows.';
revoke execute on function minuted.partitions_expire(text, int, bigint) from public;

create function minuted.partitions_drop(keep_days int) returns bigint
    language sql
    security definer
    set search_path = pg_catalog, pg_temp
    begin atomic
        select sum(minuted.partitions_expire(parent, keep_days, 10000))::bigint
        from unnest(array['calls', 'call_texts', 'events']) as parent;
    end;
comment on function minuted.partitions_drop(int) is 'Retention: removes calls, texts and events that are older; again until it returns 0.';
revoke execute on function minuted.partitions_drop(int) from public;
grant execute on function minuted.partitions_drop(int) to minuted_worker;

create function minuted.content_expire(keep_days int) returns bigint
    language sql
    security definer
    set search_path = pg_catalog, pg_temp
    return minuted.partitions_expire('call_texts', keep_days, 10000);
comment on function minuted.content_expire(int) is 'Removes the texts of calls that are older; again until it returns 0.';
revoke execute on function minuted.content_expire(int) from public;
grant execute on function minuted.content_expire(int) to minuted_worker;

select minuted.partitions_ensure();
