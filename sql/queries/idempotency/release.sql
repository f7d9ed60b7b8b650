-- The keys that life $1 of a worker had taken and not answered: it was cut off.
-- What PostgreSQL still commits for it later is known by the life.
with ended as (
    insert into minuted.ended_lives (life)
    values ($1::uuid)
    on conflict on constraint ended_lives_pkey do nothing
)
update minuted.idempotency_keys
set freed = attempt,
    owner = null
where owner = $1::uuid and state = 'running'
