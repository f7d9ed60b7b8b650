-- What the lists of logs are read by when a filter matches few of very many
-- rows.  A row is in the indexes of its kind only, so an ingested log costs a
-- call nothing, and the other way round.

-- Calls and ingested logs of one user of a client are not found in each
-- other's way.
create index calls_made_by_end_user
    on minuted.calls (user_id, lower(end_user), id)
    where end_user is not null and kind <> 'ingest';
create index calls_ingested_by_end_user
    on minuted.calls (user_id, end_user, started_at, id)
    where kind = 'ingest';
create index calls_ingested_by_source
    on minuted.calls (user_id, source, started_at, id)
    where kind = 'ingest';

-- Few calls among very many ingested logs.
create index calls_made on minuted.calls (user_id, id)
    where kind <> 'ingest';
-- Any status can be the rare one, also a good end.  Those that run are few, and
-- would leave what they were behind.
create index calls_by_status on minuted.calls (user_id, status, id)
    where kind <> 'ingest' and status <> 'running';
create index calls_by_environment on minuted.calls (user_id, environment, id)
    where environment is not null and kind <> 'ingest';

create index events_by_level on minuted.events (user_id, level, logged_at, id);

-- At the end: until here what is logged can be read.
drop index minuted.calls_by_end_user;
alter index minuted.calls_made_by_end_user rename to calls_by_end_user;
