-- nothing; deletes the keys of user $1 that generate-api-key made
delete from minuted.api_keys
where user_id = $1::uuid
    and generated
