-- (key $2 of user $1 as a JSON object, the key itself masked); no row: not there, or not theirs
select minuted.api_key_json(k)
from minuted.api_keys k
where k.user_id = $1::uuid
    and k.id = $2::uuid
