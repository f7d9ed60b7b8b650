-- (is e-mail $1 taken, is username $2 taken) by a user other than $3 (null: by anybody)
select
    exists (select from minuted.users
        where email = $1
            and id is distinct from $3::uuid),
    exists (select from minuted.users
        where lower(username) = lower($2)
            and id is distinct from $3::uuid)
