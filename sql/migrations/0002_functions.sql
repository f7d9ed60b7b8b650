-- Helpers of the statements in sql/queries.

create function minuted.iso(at timestamptz) returns text
    language sql stable parallel safe
    return to_char(at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
comment on function minuted.iso(timestamptz) is 'The time as the API writes it: ISO 8601, UTC, milliseconds.';

create function minuted.usd(pico bigint) returns numeric
    language sql immutable parallel safe
    return trim_scale(pico * 0.000000000001);
comment on function minuted.usd(bigint) is 'Pico-dollars in dollars, exact, without trailing zeros.';

create function minuted.uuid_floor(at timestamptz) returns uuid
    language sql immutable parallel safe
    return rpad(lpad(to_hex(floor(extract(epoch from at) * 1000)::bigint), 12, '0'),
        32, '0')::uuid;
comment on function minuted.uuid_floor(timestamptz) is 'The lowest id of that millisecond: id >= uuid_floor(t) means not before t.';

create function minuted.uuid_time(id uuid) returns timestamptz
    language sql immutable parallel safe
    return to_timestamp(('x' || lpad(left(replace(id::text, '-', ''), 12), 16, '0'))::bit(64)::bigint
        / 1000.0);
comment on function minuted.uuid_time(uuid) is 'When a version 7 id was made.';

-- Histograms can be of different lengths: missing classes count as zero.
create function minuted.counts_add(a bigint[], b bigint[]) returns bigint[]
    language sql immutable parallel safe
    return (select coalesce(array_agg(coalesce(x, 0) + coalesce(y, 0) order by i), '{}')
            from unnest(a, b) with ordinality u (x, y, i));
comment on function minuted.counts_add(bigint[], bigint[]) is 'Two histograms, class by class.';

create aggregate minuted.counts_sum(bigint[]) (
    sfunc = minuted.counts_add,
    stype = bigint[],
    combinefunc = minuted.counts_add,
    initcond = '{}',
    parallel = safe
);
comment on aggregate minuted.counts_sum(bigint[]) is 'The sum of histograms, class by class.';
