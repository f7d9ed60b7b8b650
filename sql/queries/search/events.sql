-- (id, lowest time, highest time, text, text) of what is in no page yet of user $1 after the mark $2, in the order of ids: at most $3 rows and $5 bytes, none of the last $4 seconds
select s.id, min(s.at) over (), max(s.at) over (), s.first, s.second
from (
    select r.*,
        sum(octet_length(concat(r.first, r.second))) over (order by r.id rows unbounded preceding)
            - octet_length(concat(r.first, r.second)) as before
    from (
        select e.id, e.logged_at as at, e.message as first, null::text as second
        from minuted.events e
        where e.user_id = $1::uuid
            and e.id > $2::uuid
            and e.id < minuted.uuid_floor(now() - $4::int * interval '1 second')
        order by e.id
        limit $3::bigint
    ) r
) s
where s.before < $5::bigint
order by s.id
