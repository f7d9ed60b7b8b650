-- nothing; notes records ($1: lines of what, user and id) that come late
insert into minuted.search_late (what, user_id, id)
select distinct f[1], f[2]::uuid, f[3]::uuid
from string_to_table($1, E'\n') as line (text)
cross join lateral string_to_array(line.text, E'\t') as f
where line.text <> ''
order by 1, 2, 3
on conflict (user_id, what, id) do update set noted_at = now()
