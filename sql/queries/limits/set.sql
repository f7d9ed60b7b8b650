-- One row when limit $3 of $1 (and key $2, or null) is now $4 (null: none), window $5; none when there is no such user or key.
select admin.set_limit($1, $3, $4::numeric, $2, $5::bigint)
