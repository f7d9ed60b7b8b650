-- What the administrator does in psql.
insert into minuted.users (id, username, email, password_hash)
values ('01900000-0000-7000-8000-000000000001', 'Ann', 'ann@example.org', '$argon2id$x');
insert into minuted.refresh_tokens (user_id, id, family_id, token_hash, expires_at)
values ('01900000-0000-7000-8000-000000000001', gen_random_uuid(),
    gen_random_uuid(), repeat('a', 64), now() + interval '1 day');
insert into minuted.calls (user_id, id, kind, status, started_at, cost_pico)
values ('01900000-0000-7000-8000-000000000001', minuted.uuid_floor(now()),
    'test', 'running', now(), 1000000000000);
insert into minuted.usage_deltas (user_id, hour, key_id, kind, provider, model,
    calls, cost_pico)
values ('01900000-0000-7000-8000-000000000001', date_trunc('hour', now()),
    gen_random_uuid(), 'test', 'echo', 'echo', 3, 2500000000000);
select minuted.usage_fold();
insert into minuted.usage_deltas (user_id, hour, key_id, kind, provider, model,
    calls, cost_pico)
values ('01900000-0000-7000-8000-000000000001', date_trunc('hour', now()),
    gen_random_uuid(), 'test', 'echo', 'echo', 1, 500000000000);

do $$
declare
    u minuted.users;
begin
    perform admin.disable_user('ANN');
    select * into u from minuted.users;
    assert u.disabled_at is not null and u.token_version = 2;
    assert (select revoked_at is not null from minuted.refresh_tokens);
    perform admin.enable_user('Ann@example.org');
    select * into u from minuted.users;
    assert u.disabled_at is null;
    assert (select count(*) from admin.audit) = 2;

    assert (select usd from admin.calls) = 1;
    assert (select count(*) from admin.running_calls) = 1;
    assert (select calls from admin.spend) = 4;
    assert (select usd from admin.spend) = 3;
    assert (select count(*) from admin.users) = 1;
    assert (select count(*) from admin.keys) = 0;
    assert (select count(*) from admin.dead_letters) = 0;
    assert (select count(*) from admin.partitions) >= 18;

    perform admin.add_provider('local', 'http://127.0.0.1:11434/v1',
        allow_local => true, any_model => true);
    perform admin.add_provider('local', 'http://127.0.0.1:1234/v1',
        key_env => 'LOCAL_KEY');
    assert (select base_url = 'http://127.0.0.1:1234/v1' and not any_model
        from minuted.providers where name = 'local');
    perform admin.add_model('local', 'small', 'llama3:8b');
    perform admin.set_price('local', 'llama3:8b', 0.15, 0.6);
    perform admin.set_price('local', 'llama3:8b', 0.2, 0.6, 0.02);
    assert (select usd_input = 0.2 and usd_cache_read = 0.02
        and usd_cache_write is null from admin.models where name = 'small');
    assert (select count(*) from minuted.prices where provider = 'local') = 2;
end
$$;

do $$
begin
    perform admin.disable_user('nobody');
    raise exception 'nobody was disabled' using errcode = 'XX000';
exception
    when raise_exception then
        null;
end
$$;
