-- What a newer minuted may do to tables that are written to: columns, a table,
-- a function, and a lock on the largest for as long as an index takes.
alter table minuted.calls add column region text;
alter table minuted.events add column region text not null default '';
alter table minuted.users add column region text;
create table minuted.regions (name text primary key);
grant select, insert, update, delete on minuted.regions to minuted_worker;
create function minuted.region_of(c minuted.calls) returns text
    language sql stable
    return (c).region;
create index calls_by_region on minuted.calls (region) where region is not null;
select pg_sleep(2);
