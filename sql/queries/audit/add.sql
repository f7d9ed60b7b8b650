-- nothing; user $1 (or null) did $2 from address $3 to object $4 (or null) in request $5 (or null)
insert into minuted.audit_log (user_id, action, address, detail)
values ($1::uuid, $2, $3,
    json_strip_nulls(json_build_object('object', $4::text, 'request_id', $5::text)))
