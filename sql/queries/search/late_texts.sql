-- as texts.sql, of the rows of user $1 that were noted as late; a text is null where there is no such row
select s.id, coalesce(min(s.at) over (), now()), coalesce(max(s.at) over (), now()), s.first, s.second
from (
    select r.*,
        -- of a long text, its length can be told without reading it
        sum(coalesce(octet_length(r.first), 0) + coalesce(octet_length(r.second), 0))
            over (order by r.id rows between unbounded preceding and 1 preceding) as before
    from (
        select l.id, coalesce(c.started_at, minuted.uuid_time(t.id)) as at, t.request as first, t.response as second
        from minuted.search_late l
        left join minuted.call_texts t on t.user_id = l.user_id and t.id = l.id
        left join minuted.calls c on c.user_id = t.user_id and c.id = t.id
        where l.user_id = $1::uuid
            and l.what = 'texts'
            and l.noted_at < now() - $3::int * interval '1 second'
        order by l.id
        limit $2::bigint
    ) r
) s
where coalesce(s.before, 0) < $4::bigint
order by s.id
