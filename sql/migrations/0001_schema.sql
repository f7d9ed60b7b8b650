-- The first schema: accounts, conversations, the log, the catalogue of models.
--
-- Every table with a user's data has the primary key (user_id, id) and foreign
-- keys that include user_id: a query that forgets whose row it wants finds
-- nothing, and the tables can be distributed by user_id.

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
    primary key (provider, model, valid_from)
);

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
