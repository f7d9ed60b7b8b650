-- (id, the call as a JSON record) of user $1, newest first, at most $2; null: no filter: those below id $3, since $4, model $5, 'successful' or 'failed' $6, user $7 in any letter case, environment $8
-- planned anew: most filters are absent
select
    c.id,
    json_build_object(
        'Created_At', floor(extract(epoch from c.started_at) * 1000)::bigint,
        'Status', case c.status
            when 'running' then 'Pending'
            when 'completed' then 'successful'
            else 'failed' end,
        'Request', coalesce(t.request, ''),
        'Model', coalesce(c.model, ''),
        'Total_Tokens', coalesce(c.prompt_tokens, 0) + coalesce(c.completion_tokens, 0),
        'Input_Tokens', coalesce(c.prompt_tokens, 0),
        'Output_Tokens', coalesce(c.completion_tokens, 0),
        'Response', case c.status
            when 'completed' then coalesce(t.response, '')
            else '' end,
        'User', coalesce(c.end_user, ''),
        'Environment', coalesce(c.environment, ''))
from minuted.calls c
left join minuted.call_texts t on t.user_id = c.user_id and t.id = c.id
where c.user_id = $1::uuid
    and c.kind <> 'ingest'
    and c.id < coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
    -- the id is made just before the call begins
    and c.id >= minuted.uuid_floor(coalesce($4::timestamptz, '1970-01-02') - interval '10 minutes')
    and c.started_at >= coalesce($4::timestamptz, '1970-01-02')
    and ($5::text is null or c.model = $5::text)
    and ($6::text is null
        or ($6::text = 'successful' and c.status = 'completed')
        -- what is indexed are the errors
        or ($6::text = 'failed' and c.error is not null
            and c.status not in ('completed', 'running')))
    and ($7::text is null or lower(c.end_user) = lower($7::text))
    and ($8::text is null or c.environment = $8::text)
order by c.id desc
limit $2::bigint
