-- The providers of a fresh install.  echo answers without any key; openai is
-- whatever OPENAI_BASE_URL and OPENAI_API_KEY say.

insert into minuted.providers (name, kind, base_url, key_env, any_model, preference)
values
    ('echo', 'echo', null, null, false, 1000),
    ('openai', 'openai', null, 'OPENAI_API_KEY', false, 100);

insert into minuted.models (provider, name, upstream_name, preference)
values ('echo', 'echo', 'echo', 1000);

insert into minuted.prices (provider, model, valid_from, input, output,
    cache_read, cache_write, origin)
values ('echo', 'echo', now(), 0, 0, 0, 0, 'builtin');
