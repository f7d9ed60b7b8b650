-- (event $2 of user $1 as a JSON object); no row: not there, or not theirs
select
    json_build_object(
        'id', e.id,
        'user_id', e.subject,
        'message', e.message,
        'level', e.level,
        'timestamp', minuted.iso(e.logged_at),
        'metadata', e.metadata)
from minuted.events e
where e.user_id = $1::uuid
    and e.id = $2::uuid
