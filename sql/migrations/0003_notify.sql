-- Workers keep identities and the catalogue in memory.  What changes them says
-- so; NOTIFY leaves with the commit, and one transaction sends each text once.

create function minuted.notify_user() returns trigger
    language plpgsql as
$$
begin
    perform pg_notify('minuted_user', old.id::text);
    return null;
end
$$;
comment on function minuted.notify_user() is 'Tells workers to forget a user.';

create trigger user_changed
    after update on minuted.users
    for each row
    when (old.token_version is distinct from new.token_version
        or old.disabled_at is distinct from new.disabled_at
        or old.role is distinct from new.role)
    execute function minuted.notify_user();
create trigger user_deleted
    after delete on minuted.users
    for each row
    execute function minuted.notify_user();

create function minuted.notify_key() returns trigger
    language plpgsql as
$$
begin
    if tg_op <> 'INSERT' then
        perform pg_notify('minuted_key', old.key_hash);
    end if;
    if tg_op <> 'DELETE' then
        perform pg_notify('minuted_key', new.key_hash);
    end if;
    return null;
end
$$;
comment on function minuted.notify_key() is 'Tells workers to forget what they know of a key.';

create trigger key_made_or_deleted
    after insert or delete on minuted.api_keys
    for each row
    execute function minuted.notify_key();
-- Not for last_used_at, which moves all the time.
create trigger key_changed
    after update on minuted.api_keys
    for each row
    when (old.key_hash is distinct from new.key_hash
        or old.is_active is distinct from new.is_active
        or old.expires_at is distinct from new.expires_at
        or old.scopes is distinct from new.scopes
        or old.user_id is distinct from new.user_id)
    execute function minuted.notify_key();

create function minuted.notify_catalog() returns trigger
    language plpgsql as
$$
begin
    perform pg_notify('minuted_catalog', tg_table_name);
    return null;
end
$$;
comment on function minuted.notify_catalog() is 'Tells workers to read providers, models and prices again.';

create trigger providers_changed
    after insert or update or delete or truncate on minuted.providers
    for each statement
    execute function minuted.notify_catalog();
create trigger models_changed
    after insert or update or delete or truncate on minuted.models
    for each statement
    execute function minuted.notify_catalog();
create trigger prices_changed
    after insert or update or delete or truncate on minuted.prices
    for each statement
    execute function minuted.notify_catalog();
