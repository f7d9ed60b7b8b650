-- How many models were added: those of the price list's openai entries that
-- answer chat completions.  Left out are what is no chat (embeddings, speech,
-- pictures, bare completions), fine-tuned names, and what only the responses
-- API serves (codex, pro, deep research, computer use).  A model that the
-- administrator does not want is disabled, not deleted, so that it stays out.
with added as (
    insert into minuted.models (provider, name, upstream_name)
    select provider, model, model
    from minuted.prices
    where provider = 'openai'
        and valid_to is null
        and model ~ '^(gpt-|chatgpt-|chat-latest|o[0-9])'
        and model !~ '(embedding|tts|whisper|dall-e|image|audio|realtime|transcribe|moderation|sora)'
        and model !~ '(^ft:|-instruct|codex|-pro(-|$)|deep-research|computer-use)'
    on conflict (provider, name) do nothing
    returning 1
)
select count(*) from added
