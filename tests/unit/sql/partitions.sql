-- Rows go to the partition of their month, late ones to the default.
do $$
begin
    assert minuted.partitions_ensure() = 0, 'they were made at migration';
end
$$;

insert into minuted.users (id, username, password_hash)
values ('01900000-0000-7000-8000-000000000001', 'ann', '$argon2id$x');
insert into minuted.calls (user_id, id, kind, status, started_at)
select '01900000-0000-7000-8000-000000000001', minuted.uuid_floor(at), 'test',
    'completed', at
from (values (now()), (date_trunc('month', now(), 'UTC')),
    (date_trunc('month', now(), 'UTC') - interval '1 millisecond'),
    (now() + interval '1 year'), ('2020-05-05 00:00+00'::timestamptz)) t (at);
insert into minuted.call_texts (user_id, id, request)
select user_id, id, 'text' from minuted.calls;

do $$
declare
    month timestamptz := date_trunc('month', now(), 'UTC');
begin
    assert (select count(*) from minuted.calls_default) = 2;
    assert (select tableoid::regclass::text from minuted.calls
        where id = minuted.uuid_floor(month))
        = 'minuted.calls' || to_char(month at time zone 'UTC', '_YYYY_MM');

    -- a month that is made later takes its rows out of the default
    assert minuted.partition_add('calls', '2020-05-01 00:00+00');
    assert not minuted.partition_add('calls', '2020-05-01 00:00+00');
    assert (select count(*) from minuted.calls_default) = 1;
    assert (select count(*) from minuted.calls_2020_05) = 1;
    assert (select count(*) from minuted.calls) = 5;

    -- texts expire before the figures do
    assert minuted.content_expire(60) = 1;
    assert minuted.content_expire(60) = 0;
    assert (select count(*) from minuted.call_texts) = 4;
    assert (select count(*) from minuted.calls) = 5;

    -- retention drops the month
    assert minuted.partitions_drop(3650) = 0;
    assert minuted.partitions_drop(60) = 1;
    assert to_regclass('minuted.calls_2020_05') is null;
    assert minuted.partitions_drop(60) = 0;
    assert (select count(*) from minuted.calls) = 4;
    assert minuted.partitions_ensure() = 0, 'none is made again';
end
$$;

do $$
begin
    perform minuted.partitions_drop(0);
    raise exception 'everything was dropped';
exception
    when invalid_parameter_value then
        null;
end
$$;
