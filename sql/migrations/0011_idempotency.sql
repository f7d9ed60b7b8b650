-- Answers that are kept for a client that sends its request again.

create table minuted.idempotency_keys (
    user_id      uuid        not null,
    key_hash     text        not null check (key_hash ~ '^[0-9a-f]{64}$'),
    request_hash text        not null check (request_hash ~ '^[0-9a-f]{64}$'),
    route        text        not null,
    attempt      uuid        not null,
    state        text        not null default 'running' check (state in ('running', 'done')),
    status       int         check (status between 200 and 499),
    content_type text,
    headers      text,
    body         bytea,
    created_at   timestamptz not null default now(),
    primary key (user_id, key_hash),
    constraint idempotency_key_is_of_a_user
        foreign key (user_id) references minuted.users (id) on delete cascade
);
create index idempotency_keys_by_age on minuted.idempotency_keys (created_at);
comment on table minuted.idempotency_keys is 'Requests with an Idempotency-Key, and their answers, for 24 hours.';
comment on column minuted.idempotency_keys.key_hash is 'SHA-256 of the key.';
comment on column minuted.idempotency_keys.request_hash is 'SHA-256 of key, path, query and body: the same request or another one.';
comment on column minuted.idempotency_keys.attempt is 'Who may write the answer: the request that took the key.';
comment on column minuted.idempotency_keys.state is 'running until there is an answer; a running one that is too old is nobody''s.';
comment on column minuted.idempotency_keys.body is 'Null when done: the answer holds a secret or is too large, and is not given again.';

grant select, insert, update, delete on minuted.idempotency_keys to minuted_worker;
