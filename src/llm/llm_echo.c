/*
 * llm_echo.c - the built-in provider: says the prompt again.
 *
 * What it makes is what OpenAI would send, so that a fresh install shows every
 * part of the way without a key.
 */
#include "llm/echo.h"

#include <string.h>

#include "base/clock.h"
#include "http/sse.h"
#include "llm/price.h"
#include "llm/provider.h"
#include "llm/usage.h"
#include "json/read.h"
#include "json/write.h"

#define WORD_MAX  ((size_t)64 * 1024) /* of a word in one event; cut above */
#define EVENT_MAX (8 * WORD_MAX)      /* a word, every byte of it escaped */

struct echo {
	const struct call *call;
	const char *id;
	const char *text; /* what is said */
	const char *rest; /* of it */
	bool started;
	int64_t created_s;
	int64_t prompt_tokens;
	int64_t completion_tokens;
};

/* The last message of the user; NULL when there is none. */
static const struct jsonr *
last_prompt(const struct jsonr *messages)
{
	const struct jsonr *message;
	const char *role;

	for (size_t i = jsonr_count(messages); i > 0; i--) {
		message = jsonr_at(messages, i - 1);
		if (jsonr_string(jsonr_get(message, "role"), &role, NULL) ==
			OK &&
		    strcmp(role, "user") == 0)
			return jsonr_get(message, "content");
	}
	return NULL;
}

/* A string, or the texts of an array of parts. */
static const char *
text_of(struct arena *arena, const struct jsonr *content)
{
	const char *text;
	char *all;
	size_t len, used = 0, total = 1;

	if (jsonr_string(content, &text, NULL) == OK)
		return arena_strdup(arena, text);
	for (size_t i = 0; i < jsonr_count(content); i++)
		if (jsonr_string(jsonr_get(jsonr_at(content, i), "text"), &text,
			&len) == OK)
			total += len;
	all = arena_alloc(arena, total);
	for (size_t i = 0; all != NULL && i < jsonr_count(content); i++) {
		if (jsonr_string(jsonr_get(jsonr_at(content, i), "text"), &text,
			&len) != OK)
			continue;
		memcpy(all + used, text, len);
		used += len;
	}
	return all;
}

enum err
echo_new(struct arena *arena, const struct call *call, struct echo **out)
{
	struct echo *echo = arena_alloc(arena, sizeof(*echo));
	const struct jsonr *request, *messages;
	enum err err;

	if (echo == NULL)
		return ERR_MEMORY;
	err = call_request(call, arena, &request);
	if (err != OK)
		return err;
	messages = jsonr_get(request, "messages");
	echo->call = call;
	echo->text = text_of(arena, last_prompt(messages));
	echo->id = arena_printf(arena, "chatcmpl-%s", call->id_text);
	if (echo->text == NULL || echo->id == NULL)
		return ERR_MEMORY;
	echo->rest = echo->text;
	echo->created_s = clock_wall_us() / 1000000;
	echo->prompt_tokens = usage_of_prompt(request);
	echo->completion_tokens =
	    price_estimate_tokens(echo->text, strlen(echo->text));
	*out = echo;
	return OK;
}

static void
write_top(struct jsonw *w, const struct echo *echo, const char *object)
{
	jsonw_object(w);
	jsonw_kv(w, "id", echo->id);
	jsonw_kv(w, "object", object);
	jsonw_kv_int(w, "created", echo->created_s);
	jsonw_kv(w, "model", echo->call->target->model);
	jsonw_key(w, "choices");
	jsonw_array(w);
}

static void
write_usage(struct jsonw *w, const struct echo *echo)
{
	jsonw_key(w, "usage");
	jsonw_object(w);
	jsonw_kv_int(w, "prompt_tokens", echo->prompt_tokens);
	jsonw_kv_int(w, "completion_tokens", echo->completion_tokens);
	jsonw_kv_int(w, "total_tokens",
	    echo->prompt_tokens + echo->completion_tokens);
	jsonw_end_object(w);
}

/* The delta of a word; without one, the end: finish_reason. */
static void
write_choice(struct jsonw *w, const struct echo *echo, const char *word,
    size_t len)
{
	jsonw_object(w);
	jsonw_kv_int(w, "index", 0);
	jsonw_key(w, "delta");
	jsonw_object(w);
	if (word != NULL) {
		if (!echo->started)
			jsonw_kv(w, "role", "assistant");
		jsonw_key(w, "content");
		jsonw_string_len(w, word, len);
	}
	jsonw_end_object(w);
	jsonw_kv(w, "finish_reason", word == NULL ? "stop" : NULL);
	jsonw_end_object(w);
}

static void
add_event(struct buf *out, const struct buf *json)
{
	if (!buf_ok(json))
		out->failed = true;
	else
		sse_data(out, json->data, json->len);
}

static void
add_word(struct echo *echo, struct buf *out, const char *word, size_t len)
{
	struct buf json;
	struct jsonw w;

	buf_init(&json, EVENT_MAX);
	jsonw_init(&w, &json);
	write_top(&w, echo, "chat.completion.chunk");
	write_choice(&w, echo, word, len);
	jsonw_end_array(&w);
	jsonw_end_object(&w);
	add_event(out, &json);
	buf_fini(&json);
	echo->started = true;
}

static void
add_usage(const struct echo *echo, struct buf *out)
{
	struct buf json;
	struct jsonw w;

	buf_init(&json, EVENT_MAX);
	jsonw_init(&w, &json);
	write_top(&w, echo, "chat.completion.chunk");
	jsonw_end_array(&w);
	write_usage(&w, echo);
	jsonw_end_object(&w);
	add_event(out, &json);
	buf_fini(&json);
}

static void
add_whole(const struct echo *echo, struct buf *out)
{
	struct jsonw w;

	jsonw_init(&w, out);
	write_top(&w, echo, "chat.completion");
	jsonw_object(&w);
	jsonw_kv_int(&w, "index", 0);
	jsonw_key(&w, "message");
	jsonw_object(&w);
	jsonw_kv(&w, "role", "assistant");
	jsonw_kv(&w, "content", echo->text);
	jsonw_end_object(&w);
	jsonw_kv(&w, "finish_reason", "stop");
	jsonw_end_object(&w);
	jsonw_end_array(&w);
	write_usage(&w, echo);
	jsonw_end_object(&w);
}

/* A word and the white space after it; cut where one event could not hold it,
 * but not inside of a character. */
static size_t
word_len(const char *text)
{
	size_t len = strcspn(text, " \t\n");

	len += strspn(text + len, " \t\n");
	if (len <= WORD_MAX)
		return len;
	len = WORD_MAX;
	while (((unsigned char)text[len] & 0xc0) == 0x80)
		len--;
	return len;
}

bool
echo_next(struct echo *echo, struct buf *out)
{
	size_t len;

	if (!echo->call->stream) {
		add_whole(echo, out);
		return false;
	}
	if (*echo->rest != '\0') {
		len = word_len(echo->rest);
		add_word(echo, out, echo->rest, len);
		echo->rest += len;
		return true;
	}
	add_word(echo, out, NULL, 0);
	add_usage(echo, out);
	buf_adds(out, "data: [DONE]\n\n");
	return false;
}

const struct llm_provider llm_echo = {
	.kind = "echo",
	.build = NULL,
	.read_event = openai_read_event,
	.read_body = openai_read_body,
	.map_error = openai_map_error,
};
