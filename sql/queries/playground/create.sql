-- one row when user $1 has the new session $2 with the prompt $3, and a turn each of the JSON array $4 of {id, model}
with session as (
    insert into minuted.sessions (user_id, id, prompt, models)
    values ($1::uuid, $2::uuid, $3::text, minuted.session_models('{}', $4::json))
    returning id
), turns as (
    insert into minuted.session_turns (user_id, id, session_id, model, prompt)
    select $1::uuid, t.id, session.id, t.model, $3::text
    from session
    cross join json_to_recordset($4::json) as t (id uuid, model text)
)
select 1
from session
