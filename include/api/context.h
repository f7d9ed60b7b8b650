/*
 * context.h - what was said before, as far as a model's context has room.
 */
#ifndef API_CONTEXT_H
#define API_CONTEXT_H

#include <stddef.h>

#include "api/llm_common.h"

/* How many bytes of earlier messages can be of use to target at most, as text
 * to bind; in the arena, NULL without memory. */
const char *context_bytes(struct http_request *req,
    const struct catalog_target *target);

/*
 * Sets call's request to messages, of which the last is the one to answer:
 * what does not fit is left out from the oldest on, and an answer whose
 * question is left out with it.
 */
enum err context_request(struct http_request *req, struct call *call,
    const struct llm_message *messages, size_t count) MUST_CHECK;

#endif /* API_CONTEXT_H */
