/*
 * tool_calls.c - the tool calls of an answer, from the pieces of a stream.
 *
 * A stream names a call by its index; id and name come in its first piece, the
 * arguments bit by bit.
 */
#include "api/tool_calls.h"

#include <stdlib.h>

#include "base/arena.h"
#include "json/write.h"

#define NAME_MAX_BYTES 1024

void
tool_calls_fini(struct tool_calls *calls)
{
	for (size_t i = 0; i < calls->count; i++) {
		buf_fini(&calls->list[i].id);
		buf_fini(&calls->list[i].name);
		buf_fini(&calls->list[i].arguments);
	}
	free(calls->list);
	calls->list = NULL;
	calls->count = 0;
	calls->broken = false;
}

/* The call of index; NULL when memory is short. */
static struct tool_call *
call_at(struct tool_calls *calls, size_t index)
{
	struct tool_call *list;

	if (index < calls->count)
		return &calls->list[index];
	list = realloc(calls->list, (index + 1) * sizeof(*list));
	if (list == NULL)
		return NULL;
	calls->list = list;
	while (calls->count <= index) {
		struct tool_call *call = &list[calls->count++];

		buf_init(&call->id, NAME_MAX_BYTES);
		buf_init(&call->name, NAME_MAX_BYTES);
		buf_init(&call->arguments, TOOL_ARGUMENTS_MAX);
	}
	return &list[index];
}

static void
append(struct buf *out, const struct jsonr *value)
{
	const char *text;
	size_t len;

	if (jsonr_string(value, &text, &len) == OK)
		buf_add(out, text, len);
}

static void
take_piece(struct tool_calls *calls, const struct jsonr *piece)
{
	const struct jsonr *function = jsonr_get(piece, "function");
	struct tool_call *call = NULL;
	int64_t index;

	if (jsonr_int(jsonr_get(piece, "index"), 0, TOOL_CALLS_MAX - 1,
		&index) == OK)
		call = call_at(calls, (size_t)index);
	if (call == NULL) {
		calls->broken = true;
		return;
	}
	append(&call->id, jsonr_get(piece, "id"));
	append(&call->name, jsonr_get(function, "name"));
	append(&call->arguments, jsonr_get(function, "arguments"));
}

const struct jsonr *
tool_calls_choice(const struct jsonr *answer)
{
	const struct jsonr *choices = jsonr_get(answer, "choices");
	const struct jsonr *choice, *index;
	int64_t number;

	for (size_t i = 0; i < jsonr_count(choices); i++) {
		choice = jsonr_at(choices, i);
		index = jsonr_get(choice, "index");
		if (jsonr_kind(index) == JSONR_NULL ||
		    jsonr_int(index, 0, 0, &number) == OK)
			return choice;
	}
	return NULL;
}

void
tool_calls_event(struct tool_calls *calls, const char *data, size_t len)
{
	struct arena *arena = arena_new();
	const struct jsonr *delta, *pieces;
	struct jsonr *event;

	if (arena != NULL &&
	    jsonr_parse(arena, data, len, &event, NULL) == OK) {
		delta = jsonr_get(tool_calls_choice(event), "delta");
		pieces = jsonr_get(delta, "tool_calls");
		for (size_t i = 0; i < jsonr_count(pieces); i++)
			take_piece(calls, jsonr_at(pieces, i));
	} else {
		calls->broken = true;
	}
	arena_free(arena);
}

static bool
is_whole(const struct tool_call *call)
{
	return buf_ok(&call->id) && buf_ok(&call->name) &&
	       buf_ok(&call->arguments) && call->name.len > 0;
}

static void
write_call(struct jsonw *w, const struct tool_call *call)
{
	jsonw_object(w);
	jsonw_kv(w, "id", buf_str(&call->id));
	jsonw_kv(w, "type", "function");
	jsonw_key(w, "function");
	jsonw_object(w);
	jsonw_kv(w, "name", buf_str(&call->name));
	jsonw_kv(w, "arguments", buf_str(&call->arguments));
	jsonw_end_object(w);
	jsonw_end_object(w);
}

bool
tool_calls_write(const struct tool_calls *calls, struct buf *out)
{
	struct jsonw w;

	for (size_t i = 0; i < calls->count; i++)
		if (!is_whole(&calls->list[i]))
			return false;
	if (calls->count == 0 || calls->broken)
		return false;
	jsonw_init(&w, out);
	jsonw_array(&w);
	for (size_t i = 0; i < calls->count; i++)
		write_call(&w, &calls->list[i]);
	jsonw_end_array(&w);
	return buf_ok(out);
}
