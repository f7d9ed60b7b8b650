-- What the schema stands on: two extensions that PostgreSQL ships, and the role
-- of the workers.

create extension if not exists pg_trgm with schema public;
create extension if not exists btree_gin with schema public;

-- The role belongs to the cluster, not to this database: another database of
-- minuted may have made it already, or be making it now.  It may log in only
-- when the administrator says so.
do $$
begin
    if not exists (select from pg_roles where rolname = 'minuted_worker') then
        create role minuted_worker nologin;
    end if;
exception
    when duplicate_object or unique_violation then
        null;
    when insufficient_privilege then
        raise exception 'the role minuted_worker is missing and % may not create it',
            current_user
            using hint = 'Run as a superuser: create role minuted_worker login';
end
$$;

-- Workers stage their batches in temporary tables.
do $$
begin
    execute format('grant connect, temporary on database %I to minuted_worker',
        current_database());
end
$$;
grant usage on schema minuted to minuted_worker;

comment on schema minuted is 'The tables of minuted; private to the program.';
comment on table minuted.migrations is 'What has been applied to this database, written first in each transaction.';
comment on column minuted.migrations.checksum is 'MD5 of the text that was applied.';
grant select on minuted.migrations to minuted_worker;
