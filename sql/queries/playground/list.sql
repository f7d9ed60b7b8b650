-- (a page of sessions of user $1 as JSON, the id that the next page comes after or null), newest first: $2 of them from the $3th, below the id $4 when not null; $5 is the page's number; turns open longer than $6 ms have failed
with page as materialized (
    select q.*, row_number() over (order by q.id desc) as n
    from (
        select *
        from minuted.sessions_now($1::uuid, $6::bigint * interval '1 ms') s
        where ($4::uuid is null or s.id < $4::uuid)
        order by s.id desc
        limit $2::bigint + 1 offset $3::bigint
    ) q
)
select
    json_build_object(
        'items', coalesce((
            select json_agg(
                json_build_object(
                    'id', p.id,
                    'prompt', p.prompt,
                    'models', p.models,
                    'createdAt', minuted.iso(p.created_at),
                    'updatedAt', minuted.iso(p.updated_at),
                    'totalCost', minuted.usd(p.total_cost),
                    'totalTokens', p.total_tokens,
                    'status', p.status)
                order by p.n)
            from page p
            where p.n <= $2::bigint), '[]'),
        'total', (
            select count(*)
            from minuted.sessions s
            where s.user_id = $1::uuid),
        'page', $5::bigint,
        'pageSize', $2::bigint),
    (
        select p.id
        from page p
        where p.n = $2::bigint
            and exists (
                select
                from page q
                where q.n > $2::bigint))
