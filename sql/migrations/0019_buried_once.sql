-- A record that is refused again, after a timeout or a crash, or by two workers,
-- is kept once, whichever program writes it.  What is there already stays.

create function minuted.bury_once() returns trigger
    language plpgsql as
$$
begin
    -- until the end of the transaction, so that what follows sees the other's
    perform pg_advisory_xact_lock(
        hashtextextended(encode(sha256(new.record), 'hex'), 0));
    if exists (
        select from minuted.dead_letters
        where record = new.record and kind = new.kind)
    then
        return null;
    end if;
    return new;
end
$$;
comment on function minuted.bury_once() is 'Leaves out a dead letter that is there already.';

-- A hash has room for any record.
create index dead_letters_by_record on minuted.dead_letters using hash (record);

create trigger dead_letters_once
    before insert on minuted.dead_letters
    for each row
    execute function minuted.bury_once();
