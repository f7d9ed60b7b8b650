-- (total, chat as JSON, its id, its sort value) of user $1, at least one row: newest first, after the time $2 and the id $3 when not null, at most $4 from the $5th; total is $6 when not null
select t.total, minuted.chat_json(p.c), (p.c).id, p.value
from (
    select coalesce($6::bigint, (
        select count(*)
        from minuted.chats c
        where c.user_id = $1::uuid)) as total
) t
left join lateral (
    select c, to_char(c.created_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as value
    from minuted.chats c
    where c.user_id = $1::uuid
        and (c.created_at, c.id) < (coalesce($2::timestamptz, 'infinity'), coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
    order by c.created_at desc, c.id desc
    limit $4::bigint offset $5::bigint
) p on true
