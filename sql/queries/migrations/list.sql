-- The names of what has been applied, in order.
select name
from minuted.migrations
order by name
