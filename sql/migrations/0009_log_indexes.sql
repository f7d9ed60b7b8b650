-- What lists of logs are read by: the newest of a user, by time, and by the
-- filters that may match few of very many rows.
--
-- No index has a column that the end of a call changes, so that writing the
-- end touches none of them (but for error, which a good end leaves null).

create index events_by_time on minuted.events (user_id, logged_at, id);
create index events_by_subject on minuted.events (user_id, subject, logged_at);

create index calls_ingested_by_time on minuted.calls (user_id, started_at, id)
    where kind = 'ingest';
create index calls_by_end_user on minuted.calls (user_id, lower(end_user), id)
    where end_user is not null;
create index calls_by_model on minuted.calls (user_id, model, id)
    where model is not null;
create index calls_with_error on minuted.calls (user_id, id)
    where error is not null;
