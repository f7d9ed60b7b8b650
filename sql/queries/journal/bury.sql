-- one row when it was not there yet; keeps a record ($2, hex) of kind $1 that was refused with SQLSTATE $3 for reason $4
insert into minuted.dead_letters (kind, record, sqlstate, reason)
values ($1, decode($2, 'hex'), $3, $4)
returning id
