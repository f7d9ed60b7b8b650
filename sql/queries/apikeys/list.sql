-- (keys of user $1 as a JSON array, newest first, at most $3 of those below id $2; id of the last when there are more)
with page as (
    select k.id, minuted.api_key_json(k) as json
    from minuted.api_keys k
    where k.user_id = $1::uuid
        and ($2::uuid is null or k.id < $2::uuid)
    order by k.id desc
    limit $3::int + 1
), shown as (
    select *
    from page
    order by id desc
    limit $3::int
)
select
    coalesce(json_agg(json order by id desc), '[]'),
    (select id from shown
        where (select count(*) from page) > $3::int
        order by id
        limit 1)
from shown
