-- How many answers older than $1 days were removed: again until it is 0.  Lives go
-- a day after all that they can have taken.
with lives as (
    delete from minuted.ended_lives
    where ended_at < now() - ($1::int + 1) * interval '1 day'
), old as (
    select user_id, key_hash
    from minuted.idempotency_keys
    where created_at < now() - $1::int * interval '1 day'
    limit 10000
), gone as (
    delete from minuted.idempotency_keys k
    using old
    where k.user_id = old.user_id and k.key_hash = old.key_hash
        and k.created_at < now() - $1::int * interval '1 day'
    returning 1
)
select count(*) from gone
