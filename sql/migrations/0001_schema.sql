-- The first schema: accounts, conversations, the log, the catalogue of models.
--
-- Every table with a user's data has the primary key (user_id, id) and foreign
-- keys that include user_id: a query that forgets whose row it wants finds
-- nothing, and the tables can be distributed by user_id.

-- The operator classes of the extensions, wherever those were installed.
select set_config('search_path', 'pg_catalog, '
    || (select string_agg(distinct quote_ident(n.nspname), ', ')
        from pg_catalog.pg_extension e
        join pg_catalog.pg_namespace n on n.oid = e.extnamespace
        where e.extname in ('pg_trgm', 'btree_gin')), true);

create table minuted.users (
    id             uuid        primary key, -- version 7
    email          text        check (email = lower(email) and length(email) <= 320),
    username       text        not null check (length(username) between 1 and 150),
    password_hash  text        not null check (password_hash like '$argon2id$%'),
    first_name     text        check (length(first_name) <= 200),
    last_name      text        check (length(last_name) <= 200),
    name           text        check (length(name) <= 400),
    organization_id text       check (length(organization_id) <= 200),
    role           text        not null default 'user' check (role in ('user', 'admin')),
    token_version  bigint      not null default 1,
    disabled_at    timestamptz,
    created_at     timestamptz not null default now(),
    updated_at     timestamptz not null default now()
);
create unique index users_have_one_email on minuted.users (email);
create unique index users_have_one_username on minuted.users (lower(username));

create table minuted.refresh_tokens (
    user_id     uuid        not null,
    id          uuid        not null,
    family_id   uuid        not null, -- one login; reuse revokes all of it
    token_hash  text        not null check (length(token_hash) = 64),
    created_at  timestamptz not null default now(),
    expires_at  timestamptz not null,
    used_at     timestamptz,
    revoked_at  timestamptz,
    primary key (user_id, id),
    constraint refresh_token_is_of_a_user
        foreign key (user_id) references minuted.users (id) on delete cascade
);
create index refresh_tokens_by_hash on minuted.refresh_tokens (token_hash);
create index refresh_tokens_by_family on minuted.refresh_tokens (user_id, family_id);

create table minuted.api_keys (
    user_id      uuid        not null,
    id           uuid        not null,
    name         text        not null check (length(name) between 1 and 100),
    prefix       text        not null check (length(prefix) <= 15),
    key_hash     text        not null check (length(key_hash) = 64),
    scopes       text[]      not null default '{}',
    is_active    boolean     not null default true,
    generated    boolean     not null default false, -- by /api/users/generate-api-key
    expires_at   timestamptz,
    last_used_at timestamptz,
    created_at   timestamptz not null default now(),
    updated_at   timestamptz not null default now(),
    primary key (user_id, id),
    constraint api_key_is_of_a_user
        foreign key (user_id) references minuted.users (id) on delete cascade
);
create index api_keys_by_hash on minuted.api_keys (key_hash);

create function minuted.chat_search_text(title text, tags text[]) returns text
    language sql immutable parallel safe
    return lower(title || E'\x1f' || array_to_string(tags, E'\x1f'));

create table minuted.chats (
    user_id       uuid        not null,
    id            uuid        not null,
    title         text        not null check (length(title) between 1 and 100),
    source        text        not null default 'web'
                              check (source in ('web', 'mobile', 'api', 'widget')),
    tags          text[]      not null default '{}',
    metadata      json        not null default '{}',
    is_active     boolean     not null default true,
    message_count bigint      not null default 0,
    search_text   text        generated always as (minuted.chat_search_text(title, tags)) stored,
    created_at    timestamptz not null default now(),
    updated_at    timestamptz not null default now(),
    primary key (user_id, id),
    constraint chat_is_of_a_user
        foreign key (user_id) references minuted.users (id) on delete cascade
);
create index chats_by_creation on minuted.chats (user_id, created_at desc, id desc);
create index chats_by_update on minuted.chats (user_id, updated_at desc, id desc);
create index chats_by_title on minuted.chats (user_id, title, id);
create index chats_by_text on minuted.chats using gin (user_id, search_text gin_trgm_ops);

create table minuted.messages (
    user_id           uuid        not null,
    id                uuid        not null,
    chat_id           uuid        not null,
    role              text        not null
                                  check (role in ('user', 'assistant', 'system', 'function', 'tool')),
    content           text        not null,
    name              text        check (length(name) <= 200),
    function_call     json,
    tool_calls        json,
    metadata          json        not null default '{}',
    tokens            bigint      check (tokens >= 0),
    prompt_tokens     bigint      check (prompt_tokens >= 0),
    completion_tokens bigint      check (completion_tokens >= 0),
    latency           bigint      check (latency >= 0), -- milliseconds
    model             text,
    cost_pico         bigint      check (cost_pico >= 0),
    call_id           uuid, -- the call that made it
    created_at        timestamptz not null default now(),
    updated_at        timestamptz not null default now(),
    primary key (user_id, id),
    constraint message_is_in_a_chat_of_its_user
        foreign key (user_id, chat_id) references minuted.chats (user_id, id) on delete cascade
);
create index messages_by_chat on minuted.messages (user_id, chat_id, id);
create index messages_by_text on minuted.messages using gin (user_id, content gin_trgm_ops);

create table minuted.sessions (
    user_id       uuid        not null,
    id            uuid        not null,
    prompt        text        not null, -- of the first turn
    models        text[]      not null,
    status        text        not null default 'ACTIVE'
                              check (status in ('ACTIVE', 'COMPLETED', 'ERROR')),
    total_cost    bigint      not null default 0, -- pico-dollars
    total_tokens  bigint      not null default 0,
    response_time bigint, -- milliseconds, of the last run
    created_at    timestamptz not null default now(),
    updated_at    timestamptz not null default now(),
    primary key (user_id, id),
    constraint session_is_of_a_user
        foreign key (user_id) references minuted.users (id) on delete cascade
);

create table minuted.session_turns (
    user_id       uuid        not null,
    id            uuid        not null, -- also the id of its call
    session_id    uuid        not null,
    model         text        not null,
    prompt        text        not null,
    response      text        not null default '',
    input_tokens  bigint,
    output_tokens bigint,
    cost_pico     bigint,
    response_time bigint, -- milliseconds
    status        text        not null default 'PENDING'
                              check (status in ('PENDING', 'STREAMING', 'COMPLETED', 'ERROR')),
    created_at    timestamptz not null default now(),
    updated_at    timestamptz not null default now(),
    primary key (user_id, id),
    constraint turn_is_in_a_session_of_its_user
        foreign key (user_id, session_id) references minuted.sessions (user_id, id) on delete cascade
);
create index session_turns_by_session on minuted.session_turns (user_id, session_id, id);

create table minuted.calls (
    user_id           uuid        not null,
    id                uuid        not null, -- version 7: its order is time's
    key_id            uuid,
    kind              text        not null,
    provider          text,
    model             text,
    upstream_model    text,
    status            text        not null
        check (status in ('running', 'completed', 'failed', 'cancelled', 'interrupted')),
    stream            boolean     not null default false,
    prompt_tokens     bigint,
    completion_tokens bigint,
    cached_tokens     bigint,
    reasoning_tokens  bigint,
    estimated         boolean     not null default false,
    cost_pico         bigint,
    latency_us        bigint,
    first_token_us    bigint,
    http_status       int,
    error             text,
    end_user          text,
    environment       text,
    source            text,
    chat_id           uuid,
    session_id        uuid,
    request_id        text,
    metadata          json,
    started_at        timestamptz not null,
    finished_at       timestamptz,
    primary key (user_id, id)
) partition by range (id);

create table minuted.call_texts (
    user_id  uuid not null,
    id       uuid not null,
    request  text,
    response text,
    primary key (user_id, id)
) partition by range (id);

create table minuted.events (
    user_id   uuid        not null,
    id        uuid        not null,
    key_id    uuid,
    subject   text        not null check (length(subject) between 1 and 100),
    level     text        not null check (level in ('info', 'warning', 'error', 'debug')),
    message   text        not null,
    metadata  json,
    logged_at timestamptz not null,
    primary key (user_id, id)
) partition by range (id);

-- What statistics read.  The journal appends deltas in the transaction of the
-- rows that they count; minuted.usage_fold() folds them into usage_hourly.
-- Readers add both.  So counts are exact and workers never wait for each other.
create table minuted.usage_deltas (
    user_id           uuid        not null,
    hour              timestamptz not null,
    key_id            uuid        not null, -- zero without a key
    kind              text        not null, -- calls.kind, or 'event:<level>'
    provider          text        not null default '',
    model             text        not null default '',
    environment       text        not null default '',
    calls             bigint      not null,
    failed            bigint      not null default 0,
    prompt_tokens     bigint      not null default 0,
    completion_tokens bigint      not null default 0,
    cost_pico         bigint      not null default 0,
    cost_unknown      bigint      not null default 0, -- calls without a price
    latency_us        bigint      not null default 0, -- sum
    latency_counts    bigint[]    not null default '{}'
);
create table minuted.usage_hourly (
    like minuted.usage_deltas including defaults,
    primary key (user_id, hour, key_id, kind, provider, model, environment)
);

create table minuted.providers (
    name        text        primary key check (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    kind        text        not null check (kind in ('openai', 'echo')),
    base_url    text,
    key_env     text        check (key_env ~ '^[A-Z][A-Z0-9_]*$'),
    any_model   boolean     not null default false,
    allow_local boolean     not null default false,
    enabled     boolean     not null default true,
    preference  int         not null default 100, -- lower is tried first
    created_at  timestamptz not null default now()
);

create table minuted.models (
    provider       text        not null references minuted.providers (name) on delete cascade,
    name           text        not null check (length(name) between 1 and 200),
    upstream_name  text        not null,
    context_tokens bigint      check (context_tokens > 0),
    enabled        boolean     not null default true,
    preference     int         not null default 100,
    created_at     timestamptz not null default now(),
    primary key (provider, name)
);

create table minuted.prices (
    provider    text        not null,
    model       text        not null, -- the provider's name of it
    valid_from  timestamptz not null,
    valid_to    timestamptz, -- null: still valid
    input       bigint      check (input >= 0),       -- pico-dollars a token
    output      bigint      check (output >= 0),
    cache_read  bigint      check (cache_read >= 0),
    cache_write bigint      check (cache_write >= 0),
    origin      text        not null default 'admin'
                            check (origin in ('builtin', 'import', 'admin')),
    primary key (provider, model, valid_from),
    constraint price_ends_after_it_begins check (valid_to > valid_from)
);
create unique index prices_have_one_current on minuted.prices (provider, model)
    where valid_to is null;

create table minuted.dead_letters (
    id          bigint      generated always as identity primary key,
    received_at timestamptz not null default now(),
    kind        text        not null,
    record      bytea       not null, -- the journal's line
    sqlstate    text        not null,
    reason      text        not null
);

create table minuted.audit_log (
    id      bigint      generated always as identity primary key,
    at      timestamptz not null default now(),
    user_id uuid,
    action  text        not null,
    address text,
    detail  json        not null default '{}'
);

grant select, insert, update, delete
    on minuted.users, minuted.refresh_tokens, minuted.api_keys, minuted.chats,
       minuted.messages, minuted.sessions, minuted.session_turns, minuted.calls,
       minuted.call_texts, minuted.events, minuted.usage_deltas,
       minuted.usage_hourly, minuted.providers, minuted.models, minuted.prices,
       minuted.dead_letters
    to minuted_worker;
-- The audit log is only ever added to.
grant select, insert on minuted.audit_log to minuted_worker;

comment on table minuted.users is 'Accounts.';
comment on column minuted.users.token_version is 'Access tokens carry it; raising it ends every login.';
comment on column minuted.users.disabled_at is 'Null: the account works.';
comment on column minuted.users.organization_id is 'As the client sent it; nothing is derived from it.';
comment on table minuted.refresh_tokens is 'Refresh tokens, single use.';
comment on column minuted.refresh_tokens.token_hash is 'SHA-256 in hex; the token itself is nowhere.';
comment on column minuted.refresh_tokens.family_id is 'One login: using a token twice revokes the family.';
comment on table minuted.api_keys is 'API keys, as SHA-256 only.';
comment on column minuted.api_keys.prefix is 'The first characters, shown to tell keys apart.';
comment on column minuted.api_keys.key_hash is 'SHA-256 in hex; the key itself is shown once and kept nowhere.';
comment on column minuted.api_keys.generated is 'Made by /api/users/generate-api-key, which replaces its own.';
comment on function minuted.chat_search_text(text, text[]) is 'What the search for chats looks in: title and tags in lower case.';
comment on table minuted.chats is 'Conversations.';
comment on column minuted.chats.search_text is 'Title and tags in lower case, for substring search.';
comment on column minuted.chats.updated_at is 'Moves with every message.';
comment on table minuted.messages is 'Messages of conversations.';
comment on column minuted.messages.latency is 'Milliseconds.';
comment on column minuted.messages.cost_pico is 'Pico-dollars; null when the price is unknown.';
comment on column minuted.messages.call_id is 'The call that made it; null when a client stored it.';
comment on table minuted.sessions is 'Runs of the playground.';
comment on column minuted.sessions.prompt is 'Of the first turn.';
comment on column minuted.sessions.total_cost is 'Pico-dollars.';
comment on column minuted.sessions.response_time is 'Milliseconds, of the last run.';
comment on table minuted.session_turns is 'One prompt to one model in a run of the playground.';
comment on column minuted.session_turns.id is 'Also the id of its call.';
comment on column minuted.session_turns.cost_pico is 'Pico-dollars; null when the price is unknown.';
comment on column minuted.session_turns.response_time is 'Milliseconds.';
comment on table minuted.calls is 'The log: one row a model call or ingested call. Partitioned by month of id.';
comment on column minuted.calls.id is 'UUID version 7, made at the edge: its order is the order of time.';
comment on column minuted.calls.status is 'running, then completed, failed, cancelled (the client left) or interrupted (its worker died).';
comment on column minuted.calls.estimated is 'The provider reported no tokens: these are counted here.';
comment on column minuted.calls.cost_pico is 'Pico-dollars; null when the price is unknown.';
comment on column minuted.calls.latency_us is 'Microseconds, from the request to the last byte.';
comment on column minuted.calls.first_token_us is 'Microseconds, from the request to the first text.';
comment on column minuted.calls.http_status is 'Of the provider.';
comment on column minuted.calls.end_user is 'Whom the client named as its own user.';
comment on table minuted.call_texts is 'Request and response of calls, apart so that they can expire first.';
comment on table minuted.events is 'Event logs. Partitioned by month of id.';
comment on column minuted.events.subject is 'The user_id that the client sent.';
comment on table minuted.usage_deltas is 'Counts not yet folded into usage_hourly; readers add both.';
comment on table minuted.usage_hourly is 'Counts per user, key, model and hour; outlives the rows that it counts.';
comment on column minuted.usage_deltas.key_id is 'All zero without a key.';
comment on column minuted.usage_deltas.kind is 'calls.kind, or event:<level>.';
comment on column minuted.usage_deltas.cost_unknown is 'Calls whose price is unknown.';
comment on column minuted.usage_deltas.latency_us is 'Sum of microseconds.';
comment on column minuted.usage_deltas.latency_counts is 'Histogram: calls in each class of latency.';
comment on column minuted.usage_hourly.key_id is 'All zero without a key.';
comment on column minuted.usage_hourly.kind is 'calls.kind, or event:<level>.';
comment on column minuted.usage_hourly.cost_unknown is 'Calls whose price is unknown.';
comment on column minuted.usage_hourly.latency_us is 'Sum of microseconds.';
comment on column minuted.usage_hourly.latency_counts is 'Histogram: calls in each class of latency.';
comment on table minuted.providers is 'Where calls can go.';
comment on column minuted.providers.base_url is 'Null: the OPENAI_BASE_URL setting; of no use to echo.';
comment on column minuted.providers.key_env is 'Name of the environment variable that holds the key; never the key.';
comment on column minuted.providers.any_model is 'Takes names that are not in models.';
comment on column minuted.providers.allow_local is 'May be http and in a private network.';
comment on column minuted.providers.preference is 'Lower is tried first.';
comment on table minuted.models is 'Which provider serves a model name.';
comment on column minuted.models.upstream_name is 'What the provider calls it.';
comment on column minuted.models.preference is 'Lower is tried first.';
comment on table minuted.prices is 'Prices with the time that they were valid in.';
comment on column minuted.prices.model is 'What the provider calls it.';
comment on column minuted.prices.valid_to is 'Null: still valid.';
comment on column minuted.prices.input is 'Pico-dollars a token, as the others; null: unknown.';
comment on column minuted.prices.origin is 'Who set it: the built-in list never replaces what an import or the administrator set.';
comment on table minuted.dead_letters is 'Log records that PostgreSQL refused, kept to be looked at.';
comment on column minuted.dead_letters.record is 'The line as it was to be written.';
comment on table minuted.audit_log is 'Logins, credentials, and what administrators did.';
comment on column minuted.audit_log.address is 'Of the client.';
