-- (id, lowest time, highest time, text, text) of what is in no page yet of user $1 after the mark $2, in the order of ids: at most $3 rows and $5 bytes, none of the last $4 seconds by either clock, of which $6 is the caller's
select s.id, min(s.at) over (), max(s.at) over (), s.first, s.second
from (
    select r.*,
        -- of a long text, its length can be told without reading it
        sum(coalesce(octet_length(r.first), 0) + coalesce(octet_length(r.second), 0))
            over (order by r.id rows between unbounded preceding and 1 preceding) as before
    from (
        select t.id, coalesce(c.started_at, minuted.uuid_time(t.id)) as at, t.request as first, t.response as second
        from minuted.call_texts t
        left join minuted.calls c on c.user_id = t.user_id and c.id = t.id
        where t.user_id = $1::uuid
            and t.id > $2::uuid
            and t.id < minuted.uuid_floor(least(now(), $6::timestamptz) - $4::int * interval '1 second')
        order by t.id
        limit $3::bigint
    ) r
) s
where coalesce(s.before, 0) < $5::bigint
order by s.id
