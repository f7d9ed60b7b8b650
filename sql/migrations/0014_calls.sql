-- One definition of a call that failed: it ended and did not complete.  Hours
-- before this one counted what failed and was interrupted; now what was
-- cancelled too, as the prompt log does.
insert into minuted.usage_deltas (
    user_id, hour, key_id, kind, provider, model, environment, calls, failed)
select
    user_id,
    date_trunc('hour', started_at, 'UTC'),
    coalesce(key_id, '00000000-0000-0000-0000-000000000000'),
    kind,
    coalesce(provider, ''),
    coalesce(model, ''),
    coalesce(environment, ''),
    0,
    count(*)
from minuted.calls
where status = 'cancelled'
group by 1, 2, 3, 4, 5, 6, 7;

comment on column minuted.usage_deltas.failed is 'Calls that ended otherwise than completed.';
comment on column minuted.usage_hourly.failed is 'Calls that ended otherwise than completed.';

-- The shape of a key in answers; the whole key is in none of them.
create function minuted.api_key_json(k minuted.api_keys) returns json
    language sql stable parallel safe
    return json_build_object(
        'id', (k).id,
        'key', (k).prefix || U&'\2026',
        'name', (k).name,
        'prefix', (k).prefix,
        'scopes', (k).scopes,
        'is_active', (k).is_active,
        'created_at', minuted.iso((k).created_at),
        'expires_at', minuted.iso((k).expires_at),
        'last_used_at', minuted.iso((k).last_used_at));
comment on function minuted.api_key_json(minuted.api_keys) is 'An API key, masked, as the API writes it.';
