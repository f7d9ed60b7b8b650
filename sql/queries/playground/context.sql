-- (prompt, response) of what was said in the session $2 of user $1, oldest first: of each run the answer of the model $3, or another's; the newest 200 runs, up to $4 bytes
select r.prompt, r.response
from (
    select a.*,
        sum(octet_length(a.prompt) + octet_length(a.response)) over (order by a.created_at desc) as bytes
    from (
        -- the turns of one run have one time of creation
        select distinct on (t.created_at) t.created_at, t.prompt, t.response
        from minuted.session_turns t
        where t.user_id = $1::uuid
            and t.session_id = $2::uuid
            and t.status = 'COMPLETED'
        order by t.created_at desc, t.model = $3::text desc, t.id
        limit 200
    ) a
) r
where r.bytes <= $4::bigint
order by r.created_at
