-- (id) of user $1, locked: changes of this user take turns
select id
from minuted.users
where id = $1::uuid
for no key update
