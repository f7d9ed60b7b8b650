-- (id) of the new user $1: email $2, username $3, password_hash $4, first name $5, last name $6, name $7, organization $8, role $9; no row: e-mail or username is taken
insert into minuted.users (id, email, username, password_hash, first_name,
    last_name, name, organization_id, role)
values ($1::uuid, $2, $3, $4, nullif($5, ''), nullif($6, ''), nullif($7, ''),
    nullif($8, ''), $9)
on conflict do nothing
returning id
