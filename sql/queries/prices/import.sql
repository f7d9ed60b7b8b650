-- One row: how many prices of the list $1 (JSON) were new, changed and unchanged.
-- $2 is where it comes from; the built-in list leaves prices of others alone.
with listed as materialized (
    select provider, model,
        round(input * 1000000)::bigint as input,
        round(output * 1000000)::bigint as output,
        round(cache_read * 1000000)::bigint as cache_read,
        round(cache_write * 1000000)::bigint as cache_write
    from json_to_recordset($1::json -> 'prices') as p (provider text, model text,
        input numeric, output numeric, cache_read numeric, cache_write numeric)
),
known as materialized (
    select l.*,
        p.provider is null as is_new,
        p.provider is not null
            and ($2::text <> 'builtin' or p.origin = 'builtin')
            and (p.input, p.output, p.cache_read, p.cache_write)
                is distinct from (l.input, l.output, l.cache_read, l.cache_write)
            as is_changed
    from listed l
    left join minuted.prices p
        on p.provider = l.provider and p.model = l.model and p.valid_to is null
),
moment as materialized (
    select clock_timestamp() as at
),
closed as (
    update minuted.prices p
    set valid_to = moment.at
    from known k, moment
    where p.provider = k.provider
        and p.model = k.model
        and p.valid_to is null
        and k.is_changed
    returning p.provider, p.model
),
added as (
    insert into minuted.prices (provider, model, valid_from, input, output,
        cache_read, cache_write, origin)
    select k.provider, k.model, moment.at, k.input, k.output, k.cache_read,
        k.cache_write, $2
    from known k
    cross join moment
    left join closed c on c.provider = k.provider and c.model = k.model
    where k.is_new or c.provider is not null
    returning provider
)
select count(*) filter (where is_new),
    count(*) filter (where is_changed),
    count(*) filter (where not is_new and not is_changed)
from known
where (select count(*) from added) >= 0
