-- (total, chat as JSON, its id, its sort value) of user $1, at least one row: chats whose title or a tag is like $2, newest first, after the time $3 and id $4 when not null, at most $5 from the $6th; total is $7 when not null
with hits as materialized (
    select c.id, c.created_at
    from minuted.chats c
    where c.user_id = $1::uuid
        and c.search_text like lower($2::text)
)
select t.total, minuted.chat_json(c), c.id,
    to_char(c.created_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
from (select coalesce($7::bigint, (select count(*) from hits)) as total) t
left join lateral (
    select h.id, h.created_at
    from hits h
    where (h.created_at, h.id) < (coalesce($3::timestamptz, 'infinity'), coalesce($4::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
    order by h.created_at desc, h.id desc
    limit $5::bigint offset $6::bigint
) p on true
left join minuted.chats c on c.user_id = $1::uuid and c.id = p.id
order by p.created_at desc, p.id desc
