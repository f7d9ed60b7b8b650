-- No row: notes that $1, whose text is $2, is being applied.
insert into minuted.migrations (name, checksum)
values ($1, md5($2))
