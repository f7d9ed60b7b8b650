-- The keys that life $1 of a worker had taken and not answered: it was cut off.
delete from minuted.idempotency_keys
where owner = $1::uuid and state = 'running'
