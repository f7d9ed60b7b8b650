-- What a user, or one key of a user, may use.

create table minuted.limits (
    user_id           uuid        not null,
    key_id            uuid        not null default '00000000-0000-0000-0000-000000000000',
    requests          bigint      check (requests > 0),
    window_s          bigint      not null default 60 check (window_s between 1 and 86400),
    calls             bigint      check (calls > 0),
    tokens_per_minute bigint      check (tokens_per_minute > 0),
    budget_pico       bigint      check (budget_pico >= 0),
    updated_at        timestamptz not null default now(),
    primary key (user_id, key_id),
    constraint limit_is_of_a_user
        foreign key (user_id) references minuted.users (id) on delete cascade
);
comment on table minuted.limits is 'What users and keys may use; no row and null: as much as they like.';
comment on column minuted.limits.key_id is 'All zero: the user as a whole, keys and logins together.';
comment on column minuted.limits.requests is 'Requests in a window of window_s seconds.';
comment on column minuted.limits.window_s is 'Length of the window of requests.';
comment on column minuted.limits.calls is 'Model calls at the same time.';
comment on column minuted.limits.tokens_per_minute is 'Prompt and completion tokens of model calls that start within a minute.';
comment on column minuted.limits.budget_pico is 'Pico-dollars of model calls in a month (UTC).';

grant select on minuted.limits to minuted_worker;

create function minuted.notify_limit() returns trigger
    language plpgsql as
$$
begin
    perform pg_notify('minuted_limit', '');
    return null;
end
$$;
comment on function minuted.notify_limit() is 'Tells workers to read the limits again.';

create trigger limits_changed
    after insert or update or delete or truncate on minuted.limits
    for each statement
    execute function minuted.notify_limit();
