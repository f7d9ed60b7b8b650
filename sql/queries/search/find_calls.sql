-- (ids): those that calls/list.sql finds with the parameters $1 to $8; their texts have the bits $9; null: it finds them as fast without
select minuted.search_calls($1::uuid, $2::bigint, $3::uuid, $4::text, $5::text,
    $6::timestamptz, $7::timestamptz, $8::text, $9::int[])
