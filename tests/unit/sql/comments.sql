-- Everything that an administrator can meet in psql is explained there.
do $$
declare
    bare text;
begin
    select string_agg(format('%s.%s', n.nspname, c.relname), ', ') into bare
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    where n.nspname in ('minuted', 'admin')
        and c.relkind in ('r', 'p', 'v')
        and obj_description(c.oid, 'pg_class') is null;
    assert bare is null, 'without a comment: ' || bare;

    select string_agg(p.oid::regprocedure::text, ', ') into bare
    from pg_proc p
    join pg_namespace n on n.oid = p.pronamespace
    where n.nspname in ('minuted', 'admin')
        and obj_description(p.oid, 'pg_proc') is null;
    assert bare is null, 'without a comment: ' || bare;

    select string_agg(n.nspname, ', ') into bare
    from pg_namespace n
    where n.nspname in ('minuted', 'admin')
        and obj_description(n.oid, 'pg_namespace') is null;
    assert bare is null, 'without a comment: ' || bare;
end
$$;

-- No view shows the text of a message, a prompt or a secret.
do $$
declare
    shown text;
begin
    select string_agg(table_name || '.' || column_name, ', ') into shown
    from information_schema.columns
    where table_schema = 'admin'
        and column_name in ('content', 'prompt', 'request', 'response',
            'message', 'record', 'password_hash', 'token_hash', 'key_hash',
            'metadata');
    assert shown is null, 'shown: ' || shown;
end
$$;

-- Every table with a user's data has user_id first in its primary key.
do $$
declare
    bare text;
begin
    select string_agg(c.relname, ', ') into bare
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    join pg_attribute a on a.attrelid = c.oid and a.attname = 'user_id'
    where n.nspname = 'minuted'
        and c.relkind in ('r', 'p')
        and c.relname not in ('usage_deltas', 'audit_log')
        and not exists (
            select from pg_index i
            where i.indrelid = c.oid and i.indisprimary
                and i.indkey[0] = a.attnum);
    assert bare is null, 'not by user: ' || bare;
end
$$;
