-- (ids): those that logger/llm_logs.sql finds with the parameters $1 to $9; their texts have the bits $10; null: it finds them as fast without
select minuted.search_ingested($1::uuid, $2::bigint, $3::timestamptz, $4::uuid,
    $5::text, $6::text, $7::timestamptz, $8::timestamptz, $9::text, $10::int[])
