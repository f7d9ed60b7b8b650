/*
 * usage.c - the tokens of a call: read from an answer, or estimated.
 */
#include "llm/usage.h"

#include <string.h>

#include "llm/price.h"

#define TOKENS_MAX INT64_C(1000000000000) /* above: nonsense */

static void
take(const struct jsonr *object, const char *key, int64_t *out)
{
	(void)!jsonr_int(jsonr_get(object, key), 0, TOKENS_MAX, out);
}

void
usage_read(struct call *call, const struct jsonr *usage)
{
	struct call_usage *to = &call->usage;

	if (jsonr_kind(usage) != JSONR_OBJECT)
		return;
	take(usage, "prompt_tokens", &to->prompt);
	take(usage, "completion_tokens", &to->completion);
	take(jsonr_get(usage, "prompt_tokens_details"), "cached_tokens",
	    &to->cached);
	take(jsonr_get(usage, "completion_tokens_details"), "reasoning_tokens",
	    &to->reasoning);
}

static int64_t
of_text(const struct jsonr *value)
{
	const char *text;
	size_t len;

	if (jsonr_string(value, &text, &len) != OK)
		return 0;
	return price_estimate_tokens(text, len);
}

/* A string, or an array of parts of which some have text. */
static int64_t
of_content(const struct jsonr *content)
{
	int64_t tokens = of_text(content);

	for (size_t i = 0;
	     jsonr_kind(content) == JSONR_ARRAY && i < jsonr_count(content);
	     i++)
		tokens += of_text(jsonr_get(jsonr_at(content, i), "text"));
	return tokens;
}

int64_t
usage_of_messages(const struct jsonr *messages)
{
	int64_t tokens = 0;

	for (size_t i = 0; i < jsonr_count(messages); i++)
		tokens +=
		    of_content(jsonr_get(jsonr_at(messages, i), "content"));
	return tokens;
}

static int64_t
estimate_prompt(const struct call *call)
{
	struct arena *arena = arena_new();
	struct jsonr *request;
	int64_t tokens = -1;

	if (arena != NULL && jsonr_parse(arena, call->request_json,
				 call->request_len, &request, NULL) == OK)
		tokens = usage_of_messages(jsonr_get(request, "messages"));
	arena_free(arena);
	return tokens;
}

void
usage_estimate(struct call *call)
{
	struct call_usage *usage = &call->usage;

	if (usage->prompt < 0) {
		usage->prompt = estimate_prompt(call);
		usage->estimated = true;
	}
	if (usage->completion < 0) {
		usage->completion =
		    price_estimate_tokens(call->text.data, call->text.len);
		usage->estimated = true;
	}
}

/* What is not kept of the text counts as if it were of single bytes. */
static int64_t
estimate_answer(const struct call_row *row)
{
	size_t len = strlen(row->response_text);
	int64_t rest = row->answer_bytes - (int64_t)len;
	int64_t tokens = price_estimate_tokens(row->response_text, len);

	return rest > 0 ? tokens + rest / CHARACTERS_A_TOKEN : tokens;
}

/* -1: unknown. */
static int64_t
cost_of_end(const struct call_row *row)
{
	int64_t cost;

	if (row->completion_tokens == 0 || row->cost_pico < 0)
		return row->cost_pico;
	if (row->answer_pico < 0 ||
	    __builtin_mul_overflow(row->completion_tokens, row->answer_pico,
		&cost) ||
	    __builtin_add_overflow(row->cost_pico, cost, &cost))
		return -1;
	return cost;
}

void
usage_estimate_end(struct call_row *row)
{
	if (row->completion_tokens >= 0)
		return;
	row->completion_tokens = estimate_answer(row);
	row->estimated = true;
	row->cost_pico = cost_of_end(row);
}
