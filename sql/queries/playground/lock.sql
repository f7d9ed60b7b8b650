-- one row when user $1 has the session $2, which nobody else changes until the transaction ends
select 1
from minuted.sessions s
where s.user_id = $1::uuid
    and s.id = $2::uuid
for no key update
