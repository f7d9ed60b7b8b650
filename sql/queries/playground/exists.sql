-- one row when user $1 has the session $2
select 1
from minuted.sessions s
where s.user_id = $1::uuid
    and s.id = $2::uuid
