/*
 * echo.h - the built-in provider: says the prompt again, a word at a time.
 *
 * It makes the bytes that a provider would send, and they take the way of a
 * provider's bytes.  The relay paces it.
 */
#ifndef LLM_ECHO_H
#define LLM_ECHO_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "llm/call.h"

struct echo;

/* Reads the last user message of call's request.  In the request's arena; any
 * thread.  ERR_MEMORY; ERR_INPUT when there is no such request. */
enum err echo_new(struct arena *arena, const struct call *call,
    struct echo **out) MUST_CHECK;

/* Appends the next event (or the whole answer, when not a stream) to out.
 * False: that was the last. */
bool echo_next(struct echo *echo, struct buf *out);

#endif /* LLM_ECHO_H */
