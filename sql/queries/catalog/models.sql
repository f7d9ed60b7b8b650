-- (provider, name, upstream name, context tokens or null, created in seconds) of enabled models, the preferred first
select
    m.provider,
    m.name,
    m.upstream_name,
    m.context_tokens,
    floor(extract(epoch from m.created_at))::bigint
from minuted.models m
join minuted.providers p on p.name = m.provider
where m.enabled
    and p.enabled
order by p.preference, p.name collate "C", m.preference, m.name collate "C"
