-- one row when the session $2 of user $1 is active again, with the prompt $3 to each of the JSON array $4 of {id, model}; no row: not there, or not theirs
with session as (
    update minuted.sessions s
    set status = 'ACTIVE',
        models = minuted.session_models(s.models, $4::json),
        updated_at = now()
    where s.user_id = $1::uuid
        and s.id = $2::uuid
    returning s.id
), turns as (
    insert into minuted.session_turns (user_id, id, session_id, model, prompt)
    select $1::uuid, t.id, session.id, t.model, $3::text
    from session
    cross join json_to_recordset($4::json) as t (id uuid, model text)
)
select 1
from session
