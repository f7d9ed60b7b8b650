-- (name, kind, base_url, key_env, any_model, allow_local) of enabled providers, the preferred first
select name, kind, base_url, key_env, any_model, allow_local
from minuted.providers
where enabled
order by preference, name collate "C"
