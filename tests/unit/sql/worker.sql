-- What the role of the workers can do, and what it cannot.
create procedure public.must_fail(statement text)
    language plpgsql as
$$
begin
    begin
        execute statement;
    exception
        when insufficient_privilege then
            return;
    end;
    raise exception 'allowed: %', statement;
end
$$;

set role minuted_worker;

insert into minuted.users (id, username, password_hash)
values ('01900000-0000-7000-8000-000000000001', 'ann', '$argon2id$x');
insert into minuted.calls (user_id, id, kind, status, started_at)
values ('01900000-0000-7000-8000-000000000001', gen_random_uuid(), 'test',
    'running', now());
update minuted.calls set status = 'completed';
select * from minuted.calls;
delete from minuted.calls;
insert into minuted.audit_log (action) values ('test');
insert into minuted.dead_letters (kind, record, sqlstate, reason)
values ('call', '\x00', '22021', 'test');
create temporary table staging (like minuted.calls);
drop table staging;
select minuted.partitions_ensure();
select minuted.usage_fold();
select minuted.partitions_drop(365);
select minuted.content_expire(365);
select name from minuted.migrations;

call public.must_fail('create table minuted.x ()');
call public.must_fail('create table public.x ()');
call public.must_fail('create schema x');
call public.must_fail('drop table minuted.calls');
call public.must_fail('alter table minuted.calls add x int');
call public.must_fail('truncate minuted.calls');
call public.must_fail('create table minuted.x partition of minuted.calls default');
call public.must_fail('table minuted.calls_default');
call public.must_fail('table admin.calls');
call public.must_fail('select admin.disable_user(''ann'')');
call public.must_fail('delete from minuted.audit_log');
call public.must_fail('update minuted.audit_log set action = ''x''');
call public.must_fail('delete from minuted.migrations');
call public.must_fail('select minuted.partition_add(''calls'', now())');
call public.must_fail('select minuted.partitions_expire(''calls'', 1, 1)');

reset role;

do $$
begin
    assert not (select rolsuper or rolcreaterole or rolcreatedb or rolbypassrls
        from pg_roles where rolname = 'minuted_worker');
end
$$;
