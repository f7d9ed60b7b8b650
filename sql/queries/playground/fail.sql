-- nothing; the turns $3 (a JSON array of {id}) of the session $2 of user $1 were never begun
with turns as (
    update minuted.session_turns t
    set status = 'ERROR',
        updated_at = now()
    from json_to_recordset($3::json) as f (id uuid)
    where t.user_id = $1::uuid
        and t.session_id = $2::uuid
        and t.id = f.id
)
update minuted.sessions s
set status = 'ERROR'
where s.user_id = $1::uuid
    and s.id = $2::uuid
