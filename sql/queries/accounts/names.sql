-- (id) of user $1, whose first name is now $2, whose last name $3 (null: as it was, empty: none)
update minuted.users
set first_name = case when $2::text is null then first_name else nullif($2, '') end,
    last_name = case when $3::text is null then last_name else nullif($3, '') end,
    updated_at = now()
where id = $1::uuid
    and disabled_at is null
returning id
