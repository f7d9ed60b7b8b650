-- nothing; adds a page of late rows, the parameters as in add.sql but $8: their ids, which are late no more unless they were noted again
with gone as (
    delete from minuted.search_late l
    where l.user_id = $1::uuid
        and l.what = $2
        and l.id = any ($8::uuid[])
        and l.noted_at < now() - $9::int * interval '1 second'
)
insert into minuted.search_pages as p (user_id, what, lo, hi, oldest, newest, grams)
values ($1::uuid, $2, $3::uuid, $4::uuid, $5::timestamptz, $6::timestamptz, $7::varbit)
on conflict (user_id, what, hi, lo) do update set
    oldest = least(p.oldest, excluded.oldest),
    newest = greatest(p.newest, excluded.newest),
    grams = p.grams | excluded.grams
