-- The keys that life $1 of a worker had taken and not answered: it was cut off.
update minuted.idempotency_keys
set freed = attempt,
    owner = null
where owner = $1::uuid and state = 'running'
