-- Folding keeps every sum, adds to what is there and leaves no delta.
insert into minuted.usage_deltas (user_id, hour, key_id, kind, model, calls,
    failed, prompt_tokens, cost_pico, latency_us, latency_counts)
select '01900000-0000-7000-8000-000000000001',
    '2026-01-01 10:00+00', '00000000-0000-0000-0000-000000000000', 'test',
    'm' || i % 3, 1, i % 2, i, 10, 100, array[1, 0, i % 2]
from generate_series(1, 300) i;

do $$
begin
    assert minuted.usage_fold() = 300;
    assert minuted.usage_fold() = 0;
    assert not exists (select from minuted.usage_deltas);
    assert (select count(*) from minuted.usage_hourly) = 3;
end
$$;

insert into minuted.usage_deltas (user_id, hour, key_id, kind, model, calls,
    latency_counts)
values ('01900000-0000-7000-8000-000000000001', '2026-01-01 10:00+00',
    '00000000-0000-0000-0000-000000000000', 'test', 'm0', 5, '{1, 1, 1, 7}'),
    ('01900000-0000-7000-8000-000000000001', '2026-01-01 10:00+00',
    '00000000-0000-0000-0000-000000000000', 'test', 'm0', 5, '{}');

do $$
declare
    h minuted.usage_hourly;
begin
    assert minuted.usage_fold() = 2;
    select * into h from minuted.usage_hourly where model = 'm0';
    assert h.calls = 110, h.calls;
    assert h.failed = 50, h.failed;
    assert h.latency_counts = '{101, 1, 51, 7}', h.latency_counts;
    assert (select sum(prompt_tokens) from minuted.usage_hourly) = 45150;
    assert (select sum(cost_pico) from minuted.usage_hourly) = 3000;
end
$$;

-- The helpers.
do $$
begin
    assert minuted.usd(1)::text = '0.000000000001';
    assert minuted.usd(1500000000000)::text = '1.5';
    assert minuted.usd(0)::text = '0';
    assert minuted.usd(9223372036854775807)::text = '9223372.036854775807';
    assert minuted.usd(null) is null;
    assert minuted.iso('2026-01-31 23:59:59.1239+02') = '2026-01-31T21:59:59.123Z';
    assert minuted.uuid_floor('2026-01-31 23:59:59.1239+00')
        = '019c167f-c893-0000-0000-000000000000';
    assert minuted.uuid_time('019c167f-c893-7abc-8def-0123456789ab')
        = '2026-01-31 23:59:59.123+00';
    assert minuted.counts_add('{}', '{}') = '{}';
end
$$;
