-- (input tokens, output tokens) of the calls of user $1, read one by one; null: no filter: since $2, model $3, 'successful' or 'failed' $4, environment $5, user $6 in any letter case
-- planned anew: most filters are absent
select
    coalesce(sum(c.prompt_tokens), 0)::bigint,
    coalesce(sum(c.completion_tokens), 0)::bigint
from minuted.calls c
where c.user_id = $1::uuid
    and c.kind <> 'ingest'
    and c.id >= minuted.uuid_floor(coalesce($2::timestamptz, '1970-01-02') - interval '10 minutes')
    and c.started_at >= coalesce($2::timestamptz, '1970-01-02')
    and ($3::text is null or c.model = $3::text)
    and ($4::text is null
        or ($4::text = 'successful' and c.status = 'completed')
        or ($4::text = 'failed' and c.error is not null
            and c.status not in ('completed', 'running')))
    and ($5::text is null or c.environment = $5::text)
    and ($6::text is null or lower(c.end_user) = lower($6::text))
