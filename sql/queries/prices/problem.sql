-- The first mistake in the price list $1 (JSON), as index, field and what is
-- wrong; no row when there is none.
with list as (
    select case json_typeof($1::json)
        when 'object' then $1::json -> 'prices'
    end as prices
),
entry as materialized (
    select e.at - 1 as at, e.item,
        case json_typeof(e.item) when 'object' then e.item else '{}' end as price
    from list,
        json_array_elements(case json_typeof(prices) when 'array' then prices else '[]' end)
        with ordinality e (item, at)
),
problem (at, place, field, what) as (
    select null::bigint, 0, 'prices', 'has to be an array'
    from list
    where json_typeof(prices) is distinct from 'array'
    union all
    select at, 0, 'entry', 'has to be an object'
    from entry
    where json_typeof(item) <> 'object'
    union all
    select at, place, field, 'has to be a string of 1 to ' || longest || ' characters'
    from entry,
        (values (1, 'provider', 63), (2, 'model', 200)) f (place, field, longest)
    where json_typeof(price -> field) is distinct from 'string'
        or length(price ->> field) not between 1 and longest
    union all
    select at, place, field, 'has to be a number'
    from entry, (values (3, 'input'), (4, 'output')) f (place, field)
    where price -> field is null
    union all
    select at, place, field, 'has to be a number from 0 to 1000000, or null'
    from entry,
        (values (3, 'input'), (4, 'output'), (5, 'cache_read'), (6, 'cache_write'))
            f (place, field)
    where case json_typeof(price -> field)
        when 'number' then (price ->> field)::numeric not between 0 and 1000000
        when 'null' then false
        else price -> field is not null
    end
    union all
    select at, 7, 'model', 'is listed twice'
    from (
        select at, row_number() over (partition by price ->> 'provider', price ->> 'model'
            order by at) as nth
        from entry
    ) counted
    where nth > 1
)
select at, field, what
from problem
order by at nulls first, place
limit 1
