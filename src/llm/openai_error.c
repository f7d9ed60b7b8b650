/*
 * openai_error.c - what a provider's error status becomes for our client.
 *
 * A provider's own words reach the client only where they are about its
 * request, and without our key.
 */
#include "llm/provider.h"

#include <string.h>

#include "json/read.h"

#define RETRY_AFTER_MAX 3600 /* seconds that a provider is believed */
#define KEY_MIN         8    /* bytes; of a shorter one any text may have */

struct mapping {
	int status;
	const char *code;
	bool words; /* the provider's message is for the client */
};

/* clang-format off */
static const struct mapping mappings[] = {
	{ 400, "invalid_request",     true },
	{ 401, "upstream_auth",       false },
	{ 402, "upstream_auth",       false },
	{ 403, "upstream_auth",       false },
	{ 404, "upstream_not_found",  false },
	{ 408, "upstream_timeout",    false },
	{ 413, "too_large",           true },
	{ 422, "invalid_request",     true },
	{ 429, "rate_limit_exceeded", false },
	{ 503, "upstream_overloaded", false },
	{ 504, "upstream_timeout",    false },
	{ 529, "upstream_overloaded", false },
	/* the last one: everything else */
	{ 0,   "upstream_error",      false },
};
/* clang-format on */

static const struct mapping *
mapping_of(int status)
{
	const struct mapping *mapping = mappings;

	while (mapping->status != status && mapping->status != 0)
		mapping++;
	return mapping;
}

/* text without key, wherever it stands in it; NULL when that cannot be. */
static const char *
scrub(struct arena *arena, const char *text, const char *key)
{
	const char *at;

	if (key == NULL)
		return text;
	if (strlen(key) < KEY_MIN)
		return NULL;
	while (text != NULL) {
		at = strstr(text, key);
		if (at == NULL)
			return text;
		text = arena_printf(arena, "%.*s***%s", (int)(at - text), text,
		    at + strlen(key));
	}
	return NULL;
}

static const char *
member_text(const struct jsonr *object, const char *key)
{
	const char *text = "";

	(void)!jsonr_string(jsonr_get(object, key), &text, NULL);
	return text;
}

/* Codes of the provider that say more than its status does. */
static const char *
refine(const struct mapping *mapping, const struct jsonr *error)
{
	const char *code = member_text(error, "code");

	if (mapping->status == 400 &&
	    strcmp(code, "context_length_exceeded") == 0)
		return code;
	if (mapping->status == 404 &&
	    (strcmp(code, "model_not_found") == 0 ||
		strstr(member_text(error, "message"), "model") != NULL))
		return "model_not_found";
	return mapping->code;
}

static void
fail_with_words(struct call *call, const struct mapping *mapping,
    struct arena *arena)
{
	const char *words = NULL;
	struct jsonr *body = NULL;
	const struct jsonr *error;

	if (jsonr_parse(arena, buf_str(&call->body), call->body.len, &body,
		NULL) != OK)
		body = NULL;
	error = jsonr_get(body, "error");
	if (mapping->words)
		words = scrub(arena, member_text(error, "message"),
		    call->target->provider->key);
	call_fail(call, refine(mapping, error), words);
}

void
openai_map_error(struct call *call)
{
	const struct mapping *mapping = mapping_of(call->upstream_status);
	struct arena *arena = arena_new();

	if (call->retry_after > RETRY_AFTER_MAX)
		call->retry_after = RETRY_AFTER_MAX;
	if (arena == NULL)
		call_fail(call, mapping->code, NULL);
	else
		fail_with_words(call, mapping, arena);
	arena_free(arena);
}
