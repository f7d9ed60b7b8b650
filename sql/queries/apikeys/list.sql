-- (keys of user $1 as a JSON array, newest first, at most $3 of those below id $2; id of the last when there are more)
with page as (
    select *
    from minuted.api_keys
    where user_id = $1::uuid
        and ($2::uuid is null or id < $2::uuid)
    order by id desc
    limit $3::int + 1
), shown as (
    select *
    from page
    order by id desc
    limit $3::int
)
select
    coalesce(json_agg(json_build_object(
        'id', id,
        'key', prefix || U&'\2026',
        'name', name,
        'prefix', prefix,
        'scopes', scopes,
        'is_active', is_active,
        'created_at', minuted.iso(created_at),
        'expires_at', minuted.iso(expires_at),
        'last_used_at', minuted.iso(last_used_at)) order by id desc), '[]'),
    (select id from shown
        where (select count(*) from page) > $3::int
        order by id
        limit 1)
from shown
