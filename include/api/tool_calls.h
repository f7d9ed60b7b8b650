/*
 * tool_calls.h - the tool calls of an answer, put together from the pieces of a
 * stream.
 */
#ifndef API_TOOL_CALLS_H
#define API_TOOL_CALLS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "json/read.h"

#define TOOL_CALLS_MAX     64            /* of one answer */
#define TOOL_ARGUMENTS_MAX (1024 * 1024) /* bytes of one call's arguments */

struct tool_call {
	struct buf id, name, arguments;
};

struct tool_calls {
	struct tool_call *list; /* malloc */
	size_t count;
	bool broken; /* a piece is missing */
};

/* {0} is an empty one.  Frees, after which it is empty again. */
void tool_calls_fini(struct tool_calls *calls);

/*
 * Takes the pieces of one event of OpenAI's stream, data (NUL-terminated), for
 * choice 0.  What is none, too much or without memory is left out: then
 * tool_calls_write() says so.
 */
void tool_calls_event(struct tool_calls *calls, const char *data, size_t len);

/* The choice 0 of OpenAI's answer or event; NULL without one. */
const struct jsonr *tool_calls_choice(const struct jsonr *answer);

/* Appends [{"id","type","function":{"name","arguments"}}...]; false, and
 * nothing, when there are none or some of it was left out. */
bool tool_calls_write(const struct tool_calls *calls, struct buf *out);

#endif /* API_TOOL_CALLS_H */
