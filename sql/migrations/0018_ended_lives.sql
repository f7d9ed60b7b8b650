-- PostgreSQL may commit the taking of a key after the worker that asked for it
-- has died and its keys were released: such a key is nobody's either.

create table minuted.ended_lives (
    life     uuid        primary key,
    ended_at timestamptz not null default now()
);
create index ended_lives_by_age on minuted.ended_lives (ended_at);
comment on table minuted.ended_lives is 'Lives of workers that were cut off, for as long as a key can name one of them as its owner.';

grant select, insert, delete on minuted.ended_lives to minuted_worker;
