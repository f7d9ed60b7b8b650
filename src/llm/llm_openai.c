/*
 * llm_openai.c - OpenAI's chat completions, at any base URL.
 */
#include "llm/provider.h"

#include <string.h>
#include <strings.h>

#include "llm/usage.h"
#include "json/read.h"
#include "json/write.h"

#define BODY_MAX ((size_t)64 * 1024 * 1024) /* of a request; edges are lower */

static bool
is_header_safe(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 0x21 || (unsigned char)*text > 0x7e)
			return false;
	return true;
}

static void
copy_member(struct jsonw *w, const char *key, const struct jsonr *value)
{
	const char *raw;
	size_t len;

	jsonr_raw(value, &raw, &len);
	jsonw_key(w, key);
	jsonw_raw(w, raw, len);
}

/* The members of object except the named ones (NULL-terminated). */
static void
copy_members(struct jsonw *w, const struct jsonr *object,
    const char *const *except)
{
	struct jsonr *value;
	const char *key;

	for (size_t i = 0; i < jsonr_count(object); i++) {
		const char *const *name = except;

		value = jsonr_member(object, i, &key);
		while (*name != NULL && strcmp(*name, key) != 0)
			name++;
		if (*name == NULL)
			copy_member(w, key, value);
	}
}

static void
write_stream_options(struct jsonw *w, const struct jsonr *asked)
{
	static const char *const ours[] = { "include_usage", NULL };

	jsonw_key(w, "stream_options");
	jsonw_object(w);
	if (jsonr_kind(asked) == JSONR_OBJECT)
		copy_members(w, asked, ours);
	jsonw_kv_bool(w, "include_usage", true);
	jsonw_end_object(w);
}

static bool
is_below(const char *host, size_t len, const char *domain)
{
	size_t rest = strlen(domain);

	if (len < rest || strncasecmp(host + len - rest, domain, rest) != 0)
		return false;
	return len == rest || host[len - rest - 1] == '.';
}

/* OpenAI's newer models refuse max_tokens; of the other servers many refuse
 * what came after it, or pass it over. */
static const char *
ceiling_name(const struct catalog_provider *provider)
{
	const char *host = strstr(provider->base_url, "://");
	size_t len;

	host = host == NULL ? provider->base_url : host + 3;
	len = strcspn(host, ":/");
	return is_below(host, len, "openai.com") ||
		       is_below(host, len, "openai.azure.com")
		   ? "max_completion_tokens"
		   : "max_tokens";
}

static void
write_request(struct buf *out, const struct call *call,
    const struct jsonr *request)
{
	static const char *const ours[] = { "max_tokens",
		"max_completion_tokens", "model", "stream", "stream_options",
		NULL };
	bool is_held = call->answer_max > 0;
	struct jsonw w;

	jsonw_init(&w, out);
	jsonw_object(&w);
	jsonw_kv(&w, "model", call->target->upstream_model);
	copy_members(&w, request, is_held ? ours : ours + 2);
	if (is_held)
		jsonw_kv_int(&w, ceiling_name(call->target->provider),
		    call->answer_max);
	jsonw_kv_bool(&w, "stream", call->stream);
	if (call->stream)
		write_stream_options(&w, jsonr_get(request, "stream_options"));
	jsonw_end_object(&w);
}

static enum err
build_body(struct arena *arena, const struct call *call,
    struct llm_request *out)
{
	const struct jsonr *request;
	struct buf body;
	enum err err;

	err = call_request(call, arena, &request);
	if (err != OK)
		return err;
	if (jsonr_kind(request) != JSONR_OBJECT)
		return ERR_INPUT;
	buf_init(&body, BODY_MAX);
	write_request(&body, call, request);
	out->body_len = body.len;
	out->body = arena_strndup(arena, body.data, body.len);
	err = buf_ok(&body) && out->body != NULL ? OK : ERR_MEMORY;
	buf_fini(&body);
	return err;
}

static enum err
build(struct arena *arena, const struct call *call, struct llm_request *out)
{
	const struct catalog_provider *provider = call->target->provider;
	const char **headers = arena_alloc(arena, 4 * sizeof(*headers));
	size_t count = 0;

	if (headers == NULL)
		return ERR_MEMORY;
	headers[count++] = "Content-Type: application/json";
	headers[count++] = call->stream ? "Accept: text/event-stream"
					: "Accept: application/json";
	if (provider->key != NULL) {
		if (!is_header_safe(provider->key))
			return ERR_UPSTREAM;
		headers[count] = arena_printf(arena, "Authorization: Bearer %s",
		    provider->key);
		if (headers[count++] == NULL)
			return ERR_MEMORY;
	}
	out->headers = headers;
	out->url =
	    arena_printf(arena, "%s/chat/completions", provider->base_url);
	if (out->url == NULL)
		return ERR_MEMORY;
	return build_body(arena, call, out);
}

/* 0 of one that says nothing. */
static int64_t
index_of(const struct jsonr *choice)
{
	int64_t index = 0;

	(void)!jsonr_int(jsonr_get(choice, "index"), 0, INT64_MAX, &index);
	return index;
}

/* choice 0 of several */
static const struct jsonr *
first_choice(const struct jsonr *choices)
{
	const struct jsonr *choice;

	for (size_t i = 0; i < jsonr_count(choices); i++) {
		choice = jsonr_at(choices, i);
		if (index_of(choice) == 0)
			return choice;
	}
	return NULL;
}

static bool
is_there(const struct jsonr *value)
{
	return value != NULL && jsonr_kind(value) != JSONR_NULL;
}

/* Some servers give an empty reason until there is one. */
static bool
is_end(const struct jsonr *choice)
{
	const char *reason;
	size_t len;

	return jsonr_string(jsonr_get(choice, "finish_reason"), &reason,
		   &len) == OK &&
	       len > 0;
}

/* What every choice has: what it adds, and whether it ends. */
static void
read_choice(struct call *call, const struct jsonr *choice)
{
	int64_t index = index_of(choice);

	usage_add(call, jsonr_get(choice, "delta"));
	if (!is_end(choice) || index >= CALL_N_MAX || call->is_finished[index])
		return;
	call->is_finished[index] = true;
	call->choices_finished++;
}

static void
read_delta(struct call *call, struct call_event *event,
    const struct jsonr *choice)
{
	const struct jsonr *delta = jsonr_get(choice, "delta");
	const char *text;
	size_t len;

	event->tool = is_there(jsonr_get(delta, "tool_calls")) ||
		      is_there(jsonr_get(delta, "function_call"));
	if (jsonr_string(jsonr_get(delta, "content"), &text, &len) != OK ||
	    len == 0)
		return;
	buf_add(&call->text, text, len);
	if (!buf_ok(&call->text))
		return;
	event->text = call->text.data + call->text.len - len;
	event->text_len = len;
}

static enum err
read_chunk(struct call *call, struct call_event *event,
    const struct jsonr *chunk)
{
	const struct jsonr *choices = jsonr_get(chunk, "choices");
	const struct jsonr *usage = jsonr_get(chunk, "usage");

	if (jsonr_kind(chunk) != JSONR_OBJECT)
		return ERR_UPSTREAM;
	if (is_there(jsonr_get(chunk, "error"))) {
		call_fail(call, "upstream_error", NULL);
		return ERR_UPSTREAM;
	}
	usage_read(call, usage);
	for (size_t i = 0; i < jsonr_count(choices); i++)
		read_choice(call, jsonr_at(choices, i));
	event->finished =
	    call->choices > 0 && call->choices_finished >= call->choices;
	event->usage_only = is_there(usage) && jsonr_count(choices) == 0;
	read_delta(call, event, first_choice(choices));
	return buf_ok(&call->text) ? OK : ERR_MEMORY;
}

enum err
openai_read_event(struct call *call, struct call_event *event)
{
	struct arena *arena;
	struct jsonr *chunk;
	enum err err;

	event->text = "";
	event->text_len = 0;
	if (strcmp(event->data, "[DONE]") == 0) {
		event->done = true;
		return OK;
	}
	arena = arena_new();
	if (arena == NULL)
		return ERR_MEMORY;
	err = jsonr_parse(arena, event->data, event->data_len, &chunk, NULL);
	if (err == OK)
		err = read_chunk(call, event, chunk);
	else if (err == ERR_INPUT)
		err = ERR_UPSTREAM;
	arena_free(arena);
	return err;
}

/* The text of the answer; of one that has none (tool calls), its message as
 * JSON, so that the log shows what was answered. */
static void
read_message(struct call *call, const struct jsonr *message)
{
	const char *text;
	size_t len;

	if (jsonr_string(jsonr_get(message, "content"), &text, &len) != OK) {
		if (!is_there(message))
			return;
		jsonr_raw(message, &text, &len);
	}
	/* One byte over the ceiling shows that it was passed. */
	if (len > CALL_TEXT_MAX)
		len = CALL_TEXT_MAX + 1;
	buf_add(&call->text, text, len);
}

static enum err
read_answer(struct call *call, const struct jsonr *answer)
{
	const struct jsonr *choices = jsonr_get(answer, "choices");
	const struct jsonr *choice;

	if (is_there(jsonr_get(answer, "error"))) {
		call_fail(call, "upstream_error", NULL);
		return ERR_UPSTREAM;
	}
	choice = first_choice(choices);
	if (jsonr_kind(choice) != JSONR_OBJECT)
		return ERR_UPSTREAM;
	usage_read(call, jsonr_get(answer, "usage"));
	for (size_t i = 0; i < jsonr_count(choices); i++)
		usage_add(call, jsonr_get(jsonr_at(choices, i), "message"));
	read_message(call, jsonr_get(choice, "message"));
	return buf_ok(&call->text) ? OK : ERR_MEMORY;
}

enum err
openai_read_body(struct call *call)
{
	struct arena *arena = arena_new();
	struct jsonr *answer;
	enum err err;

	if (arena == NULL)
		return ERR_MEMORY;
	err = jsonr_parse(arena, buf_str(&call->body), call->body.len, &answer,
	    NULL);
	if (err == OK)
		err = read_answer(call, answer);
	else if (err == ERR_INPUT)
		err = ERR_UPSTREAM;
	arena_free(arena);
	return err;
}

const struct llm_provider llm_openai = {
	.kind = "openai",
	.build = build,
	.read_event = openai_read_event,
	.read_body = openai_read_body,
	.map_error = openai_map_error,
};
