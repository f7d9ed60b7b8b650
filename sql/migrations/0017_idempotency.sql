-- A key outlives an attempt that came to nothing: whoever sends the same request
-- again goes on where that one was cut off.
--
-- A program that does not know these columns deletes a key where this one frees
-- it, and takes a freed key for one that still runs, until it is too old.

alter table minuted.idempotency_keys
    add column seed uuid,
    add column freed uuid,
    add column in_doubt boolean not null default false;
comment on column minuted.idempotency_keys.attempt is 'Who may write the answer: the request that took the key.  A model call that it makes has this id.';
comment on column minuted.idempotency_keys.seed is 'The first attempt at this request: what every attempt makes gets its ids from that.';
comment on column minuted.idempotency_keys.freed is 'The attempt that is over without an answer; as long as it is the last one, the next may run.';
comment on column minuted.idempotency_keys.in_doubt is 'Whether the freed attempt''s call may be recorded still: the next one waits for its end.';
