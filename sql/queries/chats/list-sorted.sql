-- (total, chat as JSON, its id, its sort value) of user $1, at least one row: chats that are active ($2, null: all), in the order $3, after the time $4 or title $5 and the id $6 when not null, at most $7 from the $8th; total is $9 when not null
--
-- Only the branch of $3 runs, and reads its index no further than the page.
select t.total, minuted.chat_json(p.c), (p.c).id, p.value
from (
    select case
            when $9::bigint is not null then $9::bigint
            when $2::boolean is null then (
                select count(*)
                from minuted.chats c
                where c.user_id = $1::uuid)
            else (
                select count(*)
                from minuted.chats c
                where c.user_id = $1::uuid
                    and c.is_active = $2::boolean)
        end as total
) t
left join lateral (
    (select c, to_char(c.created_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as value
    from minuted.chats c
    where $3::text = 'createdAt desc'
        and c.user_id = $1::uuid
        and ($2::boolean is null or c.is_active = $2::boolean)
        and (c.created_at, c.id) < (coalesce($4::timestamptz, 'infinity'), coalesce($6::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
    order by c.created_at desc, c.id desc
    limit $7::bigint offset $8::bigint)
    union all
    (select c, to_char(c.created_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    from minuted.chats c
    where $3::text = 'createdAt asc'
        and c.user_id = $1::uuid
        and ($2::boolean is null or c.is_active = $2::boolean)
        and (c.created_at, c.id) > (coalesce($4::timestamptz, '-infinity'), coalesce($6::uuid, '00000000-0000-0000-0000-000000000000'))
    order by c.created_at, c.id
    limit $7::bigint offset $8::bigint)
    union all
    (select c, to_char(c.updated_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    from minuted.chats c
    where $3::text = 'updatedAt desc'
        and c.user_id = $1::uuid
        and ($2::boolean is null or c.is_active = $2::boolean)
        and (c.updated_at, c.id) < (coalesce($4::timestamptz, 'infinity'), coalesce($6::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
    order by c.updated_at desc, c.id desc
    limit $7::bigint offset $8::bigint)
    union all
    (select c, to_char(c.updated_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    from minuted.chats c
    where $3::text = 'updatedAt asc'
        and c.user_id = $1::uuid
        and ($2::boolean is null or c.is_active = $2::boolean)
        and (c.updated_at, c.id) > (coalesce($4::timestamptz, '-infinity'), coalesce($6::uuid, '00000000-0000-0000-0000-000000000000'))
    order by c.updated_at, c.id
    limit $7::bigint offset $8::bigint)
    union all
    (select c, c.title
    from minuted.chats c
    where $3::text = 'title desc'
        and c.user_id = $1::uuid
        and ($2::boolean is null or c.is_active = $2::boolean)
        and (c.title, c.id) < (
            coalesce($5::text, (select max(title) from minuted.chats where user_id = $1::uuid)),
            coalesce($6::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
    order by c.title desc, c.id desc
    limit $7::bigint offset $8::bigint)
    union all
    (select c, c.title
    from minuted.chats c
    where $3::text = 'title asc'
        and c.user_id = $1::uuid
        and ($2::boolean is null or c.is_active = $2::boolean)
        and (c.title, c.id) > (coalesce($5::text, ''), coalesce($6::uuid, '00000000-0000-0000-0000-000000000000'))
    order by c.title, c.id
    limit $7::bigint offset $8::bigint)
) p on true
