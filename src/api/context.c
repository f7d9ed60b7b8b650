/*
 * context.c - what was said before, as far as a model's context has room.
 */
#include "api/context.h"

#include <inttypes.h>
#include <string.h>

#define TOKENS_UNKNOWN 8000 /* of context, where none is known */
#define TOKEN_BYTES    16   /* a token is taken for four characters */
#define CONTEXT_MAX    INT64_C(16777216)

const char *
context_bytes(struct http_request *req, const struct catalog_target *target)
{
	int64_t tokens = TOKENS_UNKNOWN;
	int64_t bytes;

	if (target->context > 0)
		tokens = target->context / 2; /* the rest is for the answer */
	bytes = tokens < CONTEXT_MAX / TOKEN_BYTES ? tokens * TOKEN_BYTES
						   : CONTEXT_MAX;
	return arena_printf(req->arena, "%" PRId64, bytes);
}

enum err
context_request(struct http_request *req, struct call *call,
    const struct llm_message *messages, size_t count)
{
	size_t from = llm_context_from(call->target, messages, count);

	while (from > 0 && from + 1 < count &&
	       strcmp(messages[from].role, "assistant") == 0)
		from++;
	return llm_request_json(req, call, messages + from, count - from);
}
