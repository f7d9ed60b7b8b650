-- nothing; adds a page of user $1 and what $2: ids from $3 to $4, times from $5 to $6, grams $7; moves the mark from $8, or does nothing when it is not there any more
with moved as (
    insert into minuted.search_marks as m (user_id, what, upto)
    values ($1::uuid, $2, $4::uuid)
    on conflict (user_id, what) do update set upto = excluded.upto
    where m.upto = $8::uuid
    returning m.user_id
)
insert into minuted.search_pages as p (user_id, what, lo, hi, oldest, newest, grams)
select user_id, $2, $3::uuid, $4::uuid, $5::timestamptz, $6::timestamptz, $7::varbit
from moved
on conflict (user_id, what, hi, lo) do update set
    oldest = least(p.oldest, excluded.oldest),
    newest = greatest(p.newest, excluded.newest),
    grams = p.grams | excluded.grams
