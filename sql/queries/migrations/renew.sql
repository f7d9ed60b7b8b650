-- A row when $1 was never applied or with another text than $2, which is noted.
insert into minuted.migrations as m (name, checksum)
values ($1, md5($2))
on conflict (name) do update
set checksum = excluded.checksum, applied_at = now()
where m.checksum <> excluded.checksum
returning name
