-- (provider, model, input, output, cache_read, cache_write) valid now, by provider and model in byte order
select distinct on (r.provider collate "C", r.model collate "C")
    r.provider,
    r.model,
    r.input,
    r.output,
    r.cache_read,
    r.cache_write
from minuted.prices r
join minuted.providers p on p.name = r.provider
where p.enabled
    and r.valid_from <= now()
    and (r.valid_to is null or r.valid_to > now())
order by r.provider collate "C", r.model collate "C", r.valid_from desc
