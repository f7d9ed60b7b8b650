-- What the administrator sees in psql: schema admin, views without any message
-- text and functions for what is done by hand.
--
-- `minuted migrate` runs this file whenever its text has changed, so all of it
-- can run again.  A view can gain columns at its end; to change others, add a
-- drop view before it.

create schema if not exists admin;
comment on schema admin is 'Views and functions for the administrator, in psql.';

create or replace view admin.users as
select u.id, u.username, u.email, u.role,
    u.disabled_at is not null as disabled,
    (select count(*) from minuted.api_keys k
        where k.user_id = u.id and k.is_active) as keys,
    (select count(*) from minuted.chats c where c.user_id = u.id) as chats,
    u.created_at, u.updated_at
from minuted.users u;
comment on view admin.users is 'Accounts, with how many keys and chats they have.';

create or replace view admin.keys as
select k.id, u.username, k.name, k.prefix, k.scopes, k.is_active,
    k.expires_at, k.last_used_at, k.created_at
from minuted.api_keys k
join minuted.users u on u.id = k.user_id;
comment on view admin.keys is 'API keys; a key itself is nowhere in the database.';

create or replace view admin.calls as
select c.id, c.started_at, u.username, k.name as key, c.kind, c.provider,
    c.model, c.status, c.stream, c.prompt_tokens, c.completion_tokens,
    c.cached_tokens, c.reasoning_tokens, c.estimated,
    minuted.usd(c.cost_pico) as usd,
    round(c.latency_us / 1000.0, 1) as ms,
    round(c.first_token_us / 1000.0, 1) as first_token_ms,
    c.http_status, c.error, c.end_user, c.environment, c.source,
    c.finished_at, c.user_id, c.request_id
from minuted.calls c
left join minuted.users u on u.id = c.user_id
left join minuted.api_keys k on k.user_id = c.user_id and k.id = c.key_id;
comment on view admin.calls is 'The log of calls, without their texts. Restrict it by id >= minuted.uuid_floor(time) to be quick.';

create or replace view admin.running_calls as
select id, started_at, now() - started_at as age, username, key, kind,
    provider, model, stream
from admin.calls
where status = 'running'
    and id >= minuted.uuid_floor(now() - interval '1 day');
comment on view admin.running_calls is 'Calls of the last day that have not ended.';

create or replace view admin.spend as
select (h.hour at time zone 'utc')::date as day, u.username, h.provider, h.model,
    sum(h.calls)::bigint as calls,
    sum(h.failed)::bigint as failed,
    sum(h.prompt_tokens)::bigint as prompt_tokens,
    sum(h.completion_tokens)::bigint as completion_tokens,
    minuted.usd(sum(h.cost_pico)::bigint) as usd,
    sum(h.cost_unknown)::bigint as calls_without_price
from (
    select user_id, hour, kind, provider, model, calls, failed, prompt_tokens,
        completion_tokens, cost_pico, cost_unknown
    from minuted.usage_hourly
    union all
    select user_id, hour, kind, provider, model, calls, failed, prompt_tokens,
        completion_tokens, cost_pico, cost_unknown
    from minuted.usage_deltas
) h
left join minuted.users u on u.id = h.user_id
where h.kind not like 'event:%'
group by 1, 2, 3, 4;
comment on view admin.spend is 'What each user spent on each model, by day (UTC).';

create or replace view admin.models as
select m.name, m.provider, m.upstream_name,
    m.enabled and p.enabled as enabled,
    p.preference as provider_preference, m.preference, m.context_tokens,
    c.input * 0.000001 as usd_input, c.output * 0.000001 as usd_output,
    c.cache_read * 0.000001 as usd_cache_read,
    c.cache_write * 0.000001 as usd_cache_write
from minuted.models m
join minuted.providers p on p.name = m.provider
left join minuted.prices c on c.provider = m.provider
    and c.model = m.upstream_name and c.valid_to is null;
comment on view admin.models is 'Models in the order they are tried, with prices in USD per million tokens.';

create or replace view admin.dead_letters as
select id, received_at, kind, length(record) as bytes, sqlstate, reason
from minuted.dead_letters;
comment on view admin.dead_letters is 'Log records that PostgreSQL refused; the records are in minuted.dead_letters.';

create or replace view admin.audit as
select a.at, u.username, a.action, a.address, a.detail, a.user_id
from minuted.audit_log a
left join minuted.users u on u.id = a.user_id;
comment on view admin.audit is 'Logins, credentials, and what administrators did.';

create or replace view admin.partitions as
select parent.relname as of, child.relname as name,
    pg_get_expr(child.relpartbound, child.oid) as bounds,
    greatest(child.reltuples, 0)::bigint as rows_estimated,
    pg_size_pretty(pg_total_relation_size(child.oid)) as size,
    pg_total_relation_size(child.oid) as bytes
from pg_inherits i
join pg_class child on child.oid = i.inhrelid
join pg_class parent on parent.oid = i.inhparent
join pg_namespace n on n.oid = parent.relnamespace
where n.nspname = 'minuted' and parent.relkind = 'p';
comment on view admin.partitions is 'Partitions and their sizes on disk.';

create or replace function admin.disable_user(who text) returns text
    language plpgsql
    set search_path = pg_catalog, pg_temp as
$$
declare
    found_id uuid;
begin
    update minuted.users
    set disabled_at = coalesce(disabled_at, now()),
        token_version = token_version + 1,
        updated_at = now()
    where lower(username) = lower(who) or email = lower(who)
    returning id into found_id;
    if found_id is null then
        raise exception 'no user is called %', who;
    end if;
    update minuted.refresh_tokens
    set revoked_at = now()
    where user_id = found_id and revoked_at is null;
    insert into minuted.audit_log (user_id, action, detail)
    values (found_id, 'user.disabled', json_build_object('by', session_user));
    return who || ' is disabled';
end
$$;
comment on function admin.disable_user(text) is 'Ends every login of a user, by username or e-mail, and refuses new ones and its keys.';

create or replace function admin.enable_user(who text) returns text
    language plpgsql
    set search_path = pg_catalog, pg_temp as
$$
declare
    found_id uuid;
begin
    update minuted.users
    set disabled_at = null, updated_at = now()
    where lower(username) = lower(who) or email = lower(who)
    returning id into found_id;
    if found_id is null then
        raise exception 'no user is called %', who;
    end if;
    insert into minuted.audit_log (user_id, action, detail)
    values (found_id, 'user.enabled', json_build_object('by', session_user));
    return who || ' is enabled';
end
$$;
comment on function admin.enable_user(text) is 'Lets a disabled user log in again.';

create or replace function admin.add_provider(name text, base_url text,
    key_env text default null, any_model boolean default false,
    allow_local boolean default false, preference int default 100,
    kind text default 'openai') returns text
    language sql
    set search_path = pg_catalog, pg_temp
    begin atomic
        insert into minuted.providers as p (name, kind, base_url, key_env,
            any_model, allow_local, preference)
        values (add_provider.name, add_provider.kind, add_provider.base_url,
            add_provider.key_env, add_provider.any_model,
            add_provider.allow_local, add_provider.preference)
        on conflict on constraint providers_pkey do update
        set kind = excluded.kind, base_url = excluded.base_url,
            key_env = excluded.key_env, any_model = excluded.any_model,
            allow_local = excluded.allow_local, preference = excluded.preference,
            enabled = true
        returning p.name || ' is a provider';
    end;
comment on function admin.add_provider(text, text, text, boolean, boolean, int, text) is 'Adds or changes a provider; key_env names the environment variable of its key.';

create or replace function admin.add_model(provider text, name text,
    upstream_name text default null, context_tokens bigint default null,
    preference int default 100) returns text
    language sql
    set search_path = pg_catalog, pg_temp
    begin atomic
        insert into minuted.models as m (provider, name, upstream_name,
            context_tokens, preference)
        values (add_model.provider, add_model.name,
            coalesce(add_model.upstream_name, add_model.name),
            add_model.context_tokens, add_model.preference)
        on conflict on constraint models_pkey do update
        set upstream_name = excluded.upstream_name,
            context_tokens = excluded.context_tokens,
            preference = excluded.preference, enabled = true
        returning m.name || ' goes to ' || m.provider;
    end;
comment on function admin.add_model(text, text, text, bigint, int) is 'Adds or changes a model of a provider; upstream_name is what the provider calls it.';

create or replace function admin.set_price(provider text, model text,
    input numeric, output numeric, cache_read numeric default null,
    cache_write numeric default null) returns text
    language plpgsql
    set search_path = pg_catalog, pg_temp as
$$
#variable_conflict use_variable
declare
    at timestamptz := clock_timestamp();
begin
    update minuted.prices as p
    set valid_to = at
    where p.provider = set_price.provider
        and p.model = set_price.model
        and p.valid_to is null;
    insert into minuted.prices (provider, model, valid_from, input, output,
        cache_read, cache_write, origin)
    values (set_price.provider, set_price.model, at,
        round(input * 1000000), round(output * 1000000),
        round(cache_read * 1000000), round(cache_write * 1000000), 'admin');
    return format('%s of %s has a new price', set_price.model, set_price.provider);
end
$$;
comment on function admin.set_price(text, text, numeric, numeric, numeric, numeric) is 'From now on, in USD per million tokens; model is what the provider calls it.';

create or replace view admin.limits as
select
    u.username,
    k.prefix as key,
    l.requests,
    l.window_s,
    l.calls,
    l.tokens_per_minute,
    minuted.usd(l.budget_pico) as monthly_usd,
    minuted.usd(coalesce((
        select sum(s.cost_pico)::bigint
        from (
            select h.key_id, h.cost_pico
            from minuted.usage_hourly h
            where h.user_id = l.user_id and h.hour >= date_trunc('month', now(), 'UTC')
            union all
            select d.key_id, d.cost_pico
            from minuted.usage_deltas d
            where d.user_id = l.user_id and d.hour >= date_trunc('month', now(), 'UTC')
        ) s
        where k.id is null or s.key_id = k.id), 0)) as spent_usd,
    l.updated_at,
    u.email
from minuted.limits l
join minuted.users u on u.id = l.user_id
left join minuted.api_keys k on k.user_id = l.user_id and k.id = l.key_id
where k.id is not null or l.key_id = '00000000-0000-0000-0000-000000000000';
comment on view admin.limits is 'What users and keys may use, and what they have spent this month.';

create or replace function admin.set_limit(who text, what text, amount numeric,
    key_prefix text default null, window_s bigint default null) returns text
    language plpgsql
    set search_path = pg_catalog, pg_temp as
$$
declare
    the_user uuid;
    the_key uuid := '00000000-0000-0000-0000-000000000000';
begin
    select u.id into the_user
    from minuted.users u
    where lower(u.username) = lower(who) or u.email = lower(who);
    if the_user is null then
        raise exception 'no user is called %', who;
    end if;
    if key_prefix is not null then
        select k.id into the_key
        from minuted.api_keys k
        where k.user_id = the_user and k.prefix = key_prefix;
        if the_key is null then
            raise exception '% has no key %', who, key_prefix;
        end if;
    end if;
    if what is null or what not in ('requests', 'calls', 'tokens', 'budget') then
        raise exception 'what is requests, calls, tokens or budget, not %', what;
    end if;
    -- infinity and NaN are above every number
    if what = 'budget' and not (amount between 0 and 9223372 and amount = round(amount, 12)) then
        raise exception 'a budget is of 0 to 9223372 USD with at most 12 decimals, not %', amount;
    end if;
    if what <> 'budget' and not (amount between 1 and 9223372036854775807 and amount = trunc(amount)) then
        raise exception '% are a whole number from 1 to 9223372036854775807, or null for no limit, not %', what, amount;
    end if;
    if window_s not between 1 and 86400 then
        raise exception 'a window is of 1 to 86400 seconds, not %', window_s;
    end if;
    insert into minuted.limits as l (user_id, key_id, requests, window_s, calls,
        tokens_per_minute, budget_pico)
    values (the_user, the_key,
        case what when 'requests' then amount end,
        coalesce(set_limit.window_s, 60),
        case what when 'calls' then amount end,
        case what when 'tokens' then amount end,
        case what when 'budget' then amount * 1000000000000 end)
    on conflict on constraint limits_pkey do update
    set requests = case what when 'requests' then excluded.requests else l.requests end,
        window_s = case what when 'requests' then excluded.window_s else l.window_s end,
        calls = case what when 'calls' then excluded.calls else l.calls end,
        tokens_per_minute = case what when 'tokens' then excluded.tokens_per_minute else l.tokens_per_minute end,
        budget_pico = case what when 'budget' then excluded.budget_pico else l.budget_pico end,
        updated_at = now();
    insert into minuted.audit_log (user_id, action, detail)
    values (the_user, 'limit.set', json_build_object('what', what, 'amount', amount,
        'key', key_prefix, 'by', session_user));
    return who || ': ' || what || ' ' || coalesce(amount::text, 'unlimited');
end
$$;
comment on function admin.set_limit(text, text, numeric, text, bigint) is 'Sets requests (in window_s seconds), calls at once, tokens a minute or budget (USD a month) of a user or one of its keys; null: no limit.';

revoke execute on all functions in schema admin from public;
