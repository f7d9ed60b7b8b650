-- Where a text can be that is searched for.
--
-- A page is a run of a user's rows in the order of their ids, with a bit for
-- each three letters that follow each other somewhere in its texts.  A search
-- reads only the pages that have every bit of what is looked for, newest first,
-- and the rows that are in no page yet.  Pages are made behind the writers,
-- which know nothing of them: up to the mark of a user each row is in a page,
-- or it came late, with an id below the mark, and was noted as late before it
-- was written.

create table minuted.search_marks (
    user_id uuid not null,
    what    text not null check (what in ('events', 'texts')),
    upto    uuid not null,
    primary key (user_id, what)
);
comment on table minuted.search_marks is 'Up to which id the rows of a user are in search_pages.';
comment on column minuted.search_marks.what is 'events, or texts: those of call_texts.';

create table minuted.search_pages (
    user_id uuid        not null,
    what    text        not null check (what in ('events', 'texts')),
    lo      uuid        not null,
    hi      uuid        not null,
    oldest  timestamptz not null,
    newest  timestamptz not null,
    grams   bit varying not null,
    primary key (user_id, what, hi, lo)
);
create index search_pages_by_time
    on minuted.search_pages (user_id, what, newest desc);
-- Bits are read in place, of many pages; two rows fit into a block.
alter table minuted.search_pages alter column grams set storage plain;
comment on table minuted.search_pages is 'What the texts of a run of rows can contain.';
comment on column minuted.search_pages.lo is 'The first id; hi is the last.';
comment on column minuted.search_pages.oldest is 'The lowest time of its rows; newest is the highest.';
comment on column minuted.search_pages.grams is 'A bit for each three letters, see journal/grams.h.';

create table minuted.search_late (
    user_id  uuid        not null,
    what     text        not null check (what in ('events', 'texts')),
    id       uuid        not null,
    noted_at timestamptz not null default now(),
    primary key (user_id, what, id)
);
comment on table minuted.search_late is 'Rows that are or will be written behind the mark of their user.';

grant select, insert, update, delete
    on minuted.search_marks, minuted.search_pages, minuted.search_late
    to minuted_worker;


create function minuted.search_places(owner uuid, of_what text, wanted int[])
    returns table (lo uuid, hi uuid, oldest timestamptz, newest timestamptz)
    language sql stable parallel safe
begin atomic
    select
        -- of a clock that was ahead, the mark may be too
        least(m.upto, minuted.uuid_floor(now() - interval '3 minutes')),
        'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid,
        '-infinity'::timestamptz, 'infinity'::timestamptz
    from minuted.search_marks m
    where m.user_id = owner
        and m.what = of_what
    union all
    select l.id, l.id, '-infinity'::timestamptz, 'infinity'::timestamptz
    from minuted.search_late l
    where l.user_id = owner
        and l.what = of_what
    union all
    select p.lo, p.hi, p.oldest, p.newest
    from minuted.search_pages p
    where p.user_id = owner
        and p.what = of_what
        and get_bit(p.grams, wanted[1]) = 1
        and get_bit(p.grams, wanted[2]) = 1
        and get_bit(p.grams, wanted[3]) = 1
        and get_bit(p.grams, wanted[4]) = 1
        and get_bit(p.grams, wanted[5]) = 1
        and get_bit(p.grams, wanted[6]) = 1
        and get_bit(p.grams, wanted[7]) = 1
        and get_bit(p.grams, wanted[8]) = 1;
end;
comment on function minuted.search_places(uuid, text, int[]) is 'The ranges of ids outside of which no text of a user can have what is looked for.';

-- What is in no page is read whole, and what is late one by one.
create function minuted.search_is_ready(owner uuid, of_what text) returns boolean
    language sql stable parallel safe
begin atomic
    select coalesce((
        select
            case of_what
                when 'events' then (
                    select count(*)
                    from (
                        select
                        from minuted.events e
                        where e.user_id = owner
                            and e.id > m.upto
                        limit 30000
                    ) some_events)
                else (
                    select count(*)
                    from (
                        select
                        from minuted.call_texts t
                        where t.user_id = owner
                            and t.id > m.upto
                        limit 30000
                    ) some_texts)
            end < 30000
            and (
                select count(*)
                from (
                    select
                    from minuted.search_late l
                    where l.user_id = owner
                        and l.what = of_what
                    limit 2000
                ) some_late) < 2000
        from minuted.search_marks m
        where m.user_id = owner
            and m.what = of_what
    ), false);
end;
comment on function minuted.search_is_ready(uuid, text) is 'Are nearly all rows of a user in pages?';

-- Are there few of them?  When there are not, another filter finds more.
create function minuted.search_is_narrow(owner uuid, of_what text, wanted int[])
    returns boolean
    language sql stable parallel safe
begin atomic
    select count(*) < 200
    from (
        select
        from minuted.search_pages p
        where p.user_id = owner
            and p.what = of_what
            and get_bit(p.grams, wanted[1]) = 1
            and get_bit(p.grams, wanted[2]) = 1
            and get_bit(p.grams, wanted[3]) = 1
            and get_bit(p.grams, wanted[4]) = 1
            and get_bit(p.grams, wanted[5]) = 1
            and get_bit(p.grams, wanted[6]) = 1
            and get_bit(p.grams, wanted[7]) = 1
            and get_bit(p.grams, wanted[8]) = 1
        limit 200
    ) some_pages;
end;
comment on function minuted.search_is_narrow(uuid, text, int[]) is 'Do few pages of a user have what is looked for?';

create function minuted.search_events(
    owner uuid, most bigint, after_time timestamptz, after_id uuid,
    of_level text, of_subject text, since timestamptz, until timestamptz,
    pattern text, wanted int[])
    returns uuid[]
    language plpgsql stable
    set search_path = pg_catalog, pg_temp as
$$
declare
    place record;
    below timestamptz := least(after_time, until, 'infinity');
    below_id uuid := case
            when until <= coalesce(after_time, 'infinity')
                then '00000000-0000-0000-0000-000000000000'
            else coalesce(after_id, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
        end;
    ids uuid[] := '{}';
    times timestamptz[] := '{}';
begin
    if not minuted.search_is_ready(owner, 'events')
        or (coalesce(of_level, of_subject) is not null
            and not minuted.search_is_narrow(owner, 'events', wanted))
    then
        return null;
    end if;
    for place in
        select *
        from minuted.search_places(owner, 'events', wanted) p
        where p.oldest <= below
            and p.newest >= coalesce(since, '-infinity')
        order by p.newest desc
    loop
        exit when times[most] > place.newest;
        select array_agg(b.id), array_agg(b.logged_at)
        into ids, times
        from (
            select o.id, o.logged_at
            from unnest(ids, times) o (id, logged_at)
            union
            (select e.id, e.logged_at
            from (
                select n.id, n.logged_at, n.level, n.subject, n.message
                from minuted.events n
                where n.user_id = owner
                    and n.id >= place.lo
                    and n.id <= place.hi
                offset 0 -- the place is read, not the newest
            ) e
            where e.message ilike pattern
                and (e.logged_at, e.id) < (below, below_id)
                and e.logged_at >= coalesce(since, '-infinity')
                and (of_level is null or e.level = of_level)
                and (of_subject is null or e.subject = of_subject)
            order by e.logged_at desc, e.id desc
            limit most)
            order by logged_at desc, id desc
            limit most
        ) b;
    end loop;
    return coalesce(ids, '{}');
end
$$;
comment on function minuted.search_events is 'The ids of the newest events that a list with these filters has, the parameters as in its statement; null: its statement finds them as fast.';

create function minuted.search_ingested(
    owner uuid, most bigint, after_time timestamptz, after_id uuid,
    of_source text, of_end_user text, since timestamptz, until timestamptz,
    pattern text, wanted int[])
    returns uuid[]
    language plpgsql stable
    set search_path = pg_catalog, pg_temp as
$$
declare
    place record;
    below timestamptz := least(after_time, until, 'infinity');
    below_id uuid := case
            when until <= coalesce(after_time, 'infinity')
                then '00000000-0000-0000-0000-000000000000'
            else coalesce(after_id, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
        end;
    ids uuid[] := '{}';
    times timestamptz[] := '{}';
begin
    if not minuted.search_is_ready(owner, 'texts')
        or (coalesce(of_source, of_end_user) is not null
            and not minuted.search_is_narrow(owner, 'texts', wanted))
    then
        return null;
    end if;
    for place in
        select *
        from minuted.search_places(owner, 'texts', wanted) p
        where p.oldest <= below
            and p.newest >= coalesce(since, '-infinity')
        order by p.newest desc
    loop
        exit when times[most] > place.newest;
        select array_agg(b.id), array_agg(b.started_at)
        into ids, times
        from (
            select o.id, o.started_at
            from unnest(ids, times) o (id, started_at)
            union
            (select c.id, c.started_at
            from (
                select t.id
                from minuted.call_texts t
                where t.user_id = owner
                    and t.id >= place.lo
                    and t.id <= place.hi
                    and (t.request ilike pattern or t.response ilike pattern)
                offset 0
            ) t
            cross join lateral (
                select n.*
                from minuted.calls n
                where n.user_id = owner
                    and n.id = t.id
                offset 0
            ) c
            where c.kind = 'ingest'
                and (c.started_at, c.id) < (below, below_id)
                and c.started_at >= coalesce(since, '-infinity')
                and (of_source is null or c.source = of_source)
                and (of_end_user is null or c.end_user = of_end_user)
            order by c.started_at desc, c.id desc
            limit most)
            order by started_at desc, id desc
            limit most
        ) b;
    end loop;
    return coalesce(ids, '{}');
end
$$;
comment on function minuted.search_ingested is 'As search_events, of ingested LLM logs.';

create function minuted.search_calls(
    owner uuid, most bigint, below uuid, of_model text, of_status text,
    since timestamptz, until timestamptz, pattern text, wanted int[])
    returns uuid[]
    language plpgsql stable
    set search_path = pg_catalog, pg_temp as
$$
declare
    place record;
    highest uuid := least(
        below, minuted.uuid_floor(until + interval '10 minutes'),
        'ffffffff-ffff-ffff-ffff-ffffffffffff');
    -- no id is before 1970
    lowest uuid := minuted.uuid_floor(greatest(since, '1970-01-02Z') - interval '1 day');
    ids uuid[] := '{}';
begin
    if not minuted.search_is_ready(owner, 'texts')
        or (coalesce(of_model, of_status) is not null
            and not minuted.search_is_narrow(owner, 'texts', wanted))
    then
        return null;
    end if;
    for place in
        select *
        from minuted.search_places(owner, 'texts', wanted) p
        where p.lo < highest
            and p.hi >= lowest
        order by p.hi desc
    loop
        exit when ids[most] > place.hi;
        select array_agg(b.id)
        into ids
        from (
            select o.id
            from unnest(ids) o (id)
            union
            (select c.id
            from (
                select t.id
                from minuted.call_texts t
                where t.user_id = owner
                    and t.id >= greatest(place.lo, lowest)
                    and t.id <= place.hi
                    and t.id < highest
                    and (t.request ilike pattern or t.response ilike pattern)
                offset 0
            ) t
            cross join lateral (
                select n.*
                from minuted.calls n
                where n.user_id = owner
                    and n.id = t.id
                offset 0
            ) c
            where c.kind <> 'ingest'
                and (of_model is null or c.model = of_model)
                and (of_status is null or c.status = of_status)
                and (since is null or c.started_at >= since)
                and (until is null or c.started_at < until)
            order by c.id desc
            limit most)
            order by id desc
            limit most
        ) b;
    end loop;
    return coalesce(ids, '{}');
end
$$;
comment on function minuted.search_calls is 'As search_events, of calls, which are in the order of their ids.';
