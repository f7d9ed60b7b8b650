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

/*
 * Members that are no text to a model, and the characters that they count for.
 * Pictures are made smaller until they fit: their bytes say nothing.
 */
static const struct special {
	const char *name;
	int64_t at_least;
	int64_t bytes; /* of its JSON a character more; 0: none */
} specials[] = {
	{ "role", 0, 0 },
	{ "id", 0, 0 },
	{ "tool_call_id", 0, 0 },
	{ "type", 0, 0 },
	{ "image_url", 4000, 0 },
	{ "input_audio", 4000, 32 },
	{ "audio_url", 4000, 32 },
	{ "video_url", 4000, 32 },
	{ "file", 4000, 8 },
	{ "data", 0, 32 },
};

#define SPECIALS (sizeof(specials) / sizeof(specials[0]))

static size_t
raw_len(const struct jsonr *value)
{
	const char *raw;
	size_t len;

	jsonr_raw(value, &raw, &len);
	return len;
}

static int64_t of_value(const struct jsonr *value);

static int64_t
of_member(const char *name, const struct jsonr *value)
{
	size_t i = 0;

	while (i < SPECIALS && strcmp(specials[i].name, name) != 0)
		i++;
	if (i == SPECIALS)
		return of_value(value);
	if (specials[i].bytes == 0)
		return specials[i].at_least;
	return specials[i].at_least +
	       (int64_t)raw_len(value) / specials[i].bytes;
}

/* Some servers give the same reasoning under two names. */
static int64_t
of_object(const struct jsonr *object)
{
	int64_t reasoning = 0;
	int64_t sum = 0;
	int64_t count;
	const char *name;

	for (size_t i = 0; i < jsonr_count(object); i++) {
		const struct jsonr *value = jsonr_member(object, i, &name);

		count = of_member(name, value);
		if (strncmp(name, "reasoning", 9) != 0)
			sum += count;
		else if (count > reasoning)
			reasoning = count;
	}
	return sum + reasoning;
}

/* Characters of all the texts in value, whatever they are called. */
static int64_t
of_value(const struct jsonr *value)
{
	int64_t sum = 0;
	const char *text;
	size_t len;

	if (jsonr_string(value, &text, &len) == OK)
		return price_characters(text, len);
	if (jsonr_kind(value) == JSONR_OBJECT)
		return of_object(value);
	for (size_t i = 0; i < jsonr_count(value); i++)
		sum += of_value(jsonr_at(value, i));
	return sum;
}

void
usage_add(struct call *call, const struct jsonr *message)
{
	call->generated += of_value(message);
}

/* Tokens: of each at least one, for whose it is. */
static int64_t
of_messages(const struct jsonr *messages)
{
	int64_t sum = 0;
	int64_t tokens;

	for (size_t i = 0; i < jsonr_count(messages); i++) {
		tokens = price_tokens(of_value(jsonr_at(messages, i)));
		sum += tokens > 0 ? tokens : 1;
	}
	return sum;
}

/* A model may read it, and it is not the messages. */
static bool
is_rest(const char *name)
{
	static const char *const others[] = { "messages", "model", "user",
		"metadata", "stream_options", "prompt_cache_key",
		"safety_identifier" };

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (strcmp(others[i], name) == 0)
			return false;
	return true;
}

/* Characters of what is not the messages: of tools and formats a model reads
 * the names too. */
static int64_t
of_rest(const struct jsonr *request)
{
	int64_t sum = 0;
	const char *name;
	const char *raw;
	size_t len;

	for (size_t i = 0; i < jsonr_count(request); i++) {
		const struct jsonr *value = jsonr_member(request, i, &name);
		enum jsonr_kind kind = jsonr_kind(value);

		if (!is_rest(name))
			continue;
		jsonr_raw(value, &raw, &len);
		if (kind == JSONR_OBJECT || kind == JSONR_ARRAY)
			sum += price_characters(raw, len);
		else
			sum += of_value(value);
	}
	return sum;
}

int64_t
usage_of_prompt(const struct jsonr *request)
{
	int64_t tokens;

	if (jsonr_kind(request) != JSONR_OBJECT)
		return 1;
	tokens = of_messages(jsonr_get(request, "messages")) +
		 price_tokens(of_rest(request));
	return tokens > 0 ? tokens : 1;
}

/* Of an answer: for what the log shows of it at the least. */
static int64_t
of_answer(int64_t generated, const char *text, size_t len)
{
	int64_t tokens = price_tokens(generated);
	int64_t least = price_estimate_tokens(text, len);

	return tokens > least ? tokens : least;
}

void
usage_estimate(struct call *call)
{
	struct call_usage *usage = &call->usage;

	if (usage->prompt < 0) {
		usage->prompt = call->prompt_estimate;
		usage->estimated = true;
	}
	if (usage->completion < 0) {
		usage->completion =
		    of_answer(call->generated, call->text.data, call->text.len);
		usage->estimated = true;
	}
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
	row->completion_tokens = of_answer(row->answer_chars,
	    row->response_text, strlen(row->response_text));
	row->estimated = true;
	row->cost_pico = cost_of_end(row);
}
