-- (what, user, mark) where a page of $2 rows can be made, the mark null where it is one of late rows; of the 500 users after $1, and a last row of the last of them, its what null; $1 null: of those who write now; $4 is the time of the caller's clock
with until as materialized (
    -- whichever clock is behind: ids are made by those of the workers
    select minuted.uuid_floor(least(now(), $4::timestamptz) - $3::int * interval '1 second') as id
), returned as (
    -- the clock was ahead: rows come behind these marks and are not late
    update minuted.search_marks m
    set upto = until.id
    from until
    where $1::uuid is null
        and m.upto > until.id
), users as materialized (
    (select u.id
    from minuted.users u
    where u.id > $1::uuid
    order by u.id
    limit 500)
    union
    select d.user_id
    from minuted.usage_deltas d
    where $1::uuid is null
), marked as materialized (
    select k.what, u.id, coalesce(m.upto, '00000000-0000-0000-0000-000000000000') as upto
    from users u
    cross join (values ('events'), ('texts')) as k (what)
    left join minuted.search_marks m
        on m.user_id = u.id
        and m.what = k.what
), rows_after as (
    select n.what, n.id, n.upto,
        case n.what
            when 'events' then (
                select count(*)
                from (
                    select
                    from minuted.events e
                    where e.user_id = n.id
                        and e.id > n.upto
                        and e.id < (select id from until)
                    limit $2::bigint
                ) some_events)
            else (
                select count(*)
                from (
                    select
                    from minuted.call_texts t
                    where t.user_id = n.id
                        and t.id > n.upto
                        and t.id < (select id from until)
                    limit $2::bigint
                ) some_texts)
        end as rows
    from marked n
)
select what, id, upto
from rows_after
where rows = $2::bigint
union all
(select l.what, l.user_id, null
from minuted.search_late l
where $1::uuid is null
    and l.noted_at < now() - $3::int * interval '1 second'
group by l.what, l.user_id
-- few are looked at one by one, but not for ever
having count(*) >= 200
    or min(l.noted_at) < now() - interval '1 day')
union all
(select null, u.id, null
from users u
where $1::uuid is not null
order by u.id desc
limit 1)
