/*
 * chat_context.c - a chat's messages as the context of a model call.
 */
#include "api/chat_context.h"

#include <inttypes.h>
#include <string.h>

#include "api/llm_common.h"
#include "db/db.h"
#include "json/write.h"

#define OWN_CONTEXT    8000              /* tokens where none is known */
#define TOKEN_BYTES    16                /* at most, as tokens are estimated */
#define CONTEXT_MAX    (8 * 1024 * 1024) /* bytes that are read */
#define REQUEST_MAX    ((size_t)64 * 1024 * 1024)
#define NAME_BYTES_MAX 64 /* of a name that providers take */

/* Columns of sql/queries/messages/context.sql. */
enum col { COL_ROLE, COL_CONTENT, COL_NAME, COL_FUNCTION, COL_TOOLS, COL_META };

/* What a body may add to the request. */
static const char *const passed[] = { "temperature", "top_p", "max_tokens",
	"max_completion_tokens", "stop", "presence_penalty",
	"frequency_penalty", "logit_bias", "logprobs", "top_logprobs", "seed",
	"tools", "tool_choice", "parallel_tool_calls", "functions",
	"function_call", "response_format", "reasoning_effort", "verbosity",
	"modalities", "audio", "prediction", "service_tier", "store", "user",
	"metadata", "safety_identifier", "prompt_cache_key",
	"web_search_options" };

/* The messages from oldest to newest: row count - 1 - i is the i-th. */
struct context {
	struct arena *arena; /* until the request is written */
	const struct db_rows *rows;
	size_t count;
	size_t from; /* the first that is sent */
	/* the tool calls that tool messages answer, in order */
	struct jsonr *calls;
	size_t answered;
};

static const char *
cell(const struct context *context, size_t index, enum col col)
{
	return rows_text(context->rows, context->count - 1 - index,
	    (size_t)col);
}

static bool
is_role(const struct context *context, size_t index, const char *role)
{
	return strcmp(cell(context, index, COL_ROLE), role) == 0;
}

static const char *
text_of(const struct context *context, size_t index)
{
	const char *function = cell(context, index, COL_FUNCTION);
	const char *tools = cell(context, index, COL_TOOLS);
	const char *content = cell(context, index, COL_CONTENT);

	if (function == NULL && tools == NULL)
		return content;
	return arena_printf(context->arena, "%s%s%s", content,
	    function == NULL ? "" : function, tools == NULL ? "" : tools);
}

/* Cuts from the oldest; an answer of a tool does not come without the call
 * that it answers, which providers refuse. */
static enum err
cut(struct context *context, const struct catalog_target *target)
{
	struct llm_message *messages =
	    arena_alloc(context->arena, context->count * sizeof(*messages));

	if (messages == NULL)
		return ERR_MEMORY;
	for (size_t i = 0; i < context->count; i++) {
		messages[i].role = cell(context, i, COL_ROLE);
		messages[i].content = text_of(context, i);
		if (messages[i].content == NULL)
			return ERR_MEMORY;
	}
	context->from = llm_context_from(target, messages, context->count);
	while (context->from + 1 < context->count &&
	       is_role(context, context->from, "tool"))
		context->from++;
	return OK;
}

/* A name that providers take, or NULL. */
static const char *
fit_name(const char *name)
{
	static const char bytes[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
	size_t len = name == NULL ? 0 : strlen(name);

	if (len == 0 || len > NAME_BYTES_MAX || strspn(name, bytes) != len)
		return NULL;
	return name;
}

static void
raw(struct jsonw *w, const char *key, const char *json)
{
	jsonw_key(w, key);
	jsonw_raw(w, json, strlen(json));
}

/* The call that a tool's message answers: as its metadata says, otherwise the
 * next one of the message before. */
static const char *
call_id(struct context *context, size_t index)
{
	const char *metadata = cell(context, index, COL_META);
	const struct jsonr *next =
	    jsonr_at(context->calls, context->answered++);
	struct jsonr *object;
	const char *id = NULL;

	if (jsonr_parse(context->arena, metadata, strlen(metadata), &object,
		NULL) == OK &&
	    (jsonr_string(jsonr_get(object, "tool_call_id"), &id, NULL) == OK ||
		jsonr_string(jsonr_get(object, "toolCallId"), &id, NULL) == OK))
		return id;
	return jsonr_string(jsonr_get(next, "id"), &id, NULL) == OK ? id : NULL;
}

static void
take_calls(struct context *context, const char *tools)
{
	context->answered = 0;
	if (jsonr_parse(context->arena, tools, strlen(tools), &context->calls,
		NULL) != OK)
		context->calls = NULL;
}

static void
write_message(struct jsonw *w, struct context *context, size_t index)
{
	const char *content = cell(context, index, COL_CONTENT);
	const char *function = cell(context, index, COL_FUNCTION);
	const char *tools = cell(context, index, COL_TOOLS);
	const char *name = fit_name(cell(context, index, COL_NAME));
	const char *id;

	jsonw_object(w);
	jsonw_kv(w, "role", cell(context, index, COL_ROLE));
	if (*content == '\0' && (function != NULL || tools != NULL))
		jsonw_kv(w, "content", NULL);
	else
		jsonw_kv(w, "content", content);
	if (is_role(context, index, "tool")) {
		id = call_id(context, index);
		if (id != NULL)
			jsonw_kv(w, "tool_call_id", id);
	} else if (name != NULL) {
		jsonw_kv(w, "name", name);
	}
	if (function != NULL)
		raw(w, "function_call", function);
	if (tools != NULL) {
		raw(w, "tool_calls", tools);
		take_calls(context, tools);
	}
	jsonw_end_object(w);
}

static void
write_passed(struct jsonw *w, const struct jsonr *body)
{
	for (size_t i = 0; i < sizeof(passed) / sizeof(passed[0]); i++) {
		const struct jsonr *value = jsonr_get(body, passed[i]);
		const char *text;
		size_t len;

		if (value == NULL)
			continue;
		jsonr_raw(value, &text, &len);
		jsonw_key(w, passed[i]);
		jsonw_raw(w, text, len);
	}
}

static const char *
write_request(struct arena *arena, struct context *context, const char *model,
    const struct jsonr *body)
{
	const char *text = NULL;
	struct buf out;
	struct jsonw w;

	buf_init(&out, REQUEST_MAX);
	jsonw_init(&w, &out);
	jsonw_object(&w);
	jsonw_kv(&w, "model", model);
	jsonw_key(&w, "messages");
	jsonw_array(&w);
	for (size_t i = context->from; i < context->count; i++)
		write_message(&w, context, i);
	jsonw_end_array(&w);
	write_passed(&w, body);
	jsonw_end_object(&w);
	if (buf_ok(&out))
		text = arena_strndup(arena, out.data, out.len);
	buf_fini(&out);
	return text;
}

/* Bytes that may be needed to fill the context of target. */
static int64_t
bytes_of(const struct catalog_target *target)
{
	int64_t tokens = target->context > 0 ? target->context : OWN_CONTEXT;

	return tokens > CONTEXT_MAX / TOKEN_BYTES ? CONTEXT_MAX
						  : tokens * TOKEN_BYTES;
}

static enum err
make_request(struct http_request *req, struct context *context,
    const struct catalog_target *target, const struct jsonr *body,
    const char **out)
{
	enum err err;

	context->arena = arena_new();
	if (context->arena == NULL)
		return ERR_MEMORY;
	err = cut(context, target);
	if (err == OK) {
		*out = write_request(req->arena, context, target->model, body);
		err = *out == NULL ? ERR_MEMORY : OK;
	}
	arena_free(context->arena);
	return err;
}

enum err
chat_context_request(struct http_request *req, const char *chat_id,
    const struct catalog_target *target, const struct jsonr *body,
    const char **out)
{
	const char *args[3] = { req->who.user_text, chat_id,
		arena_printf(req->arena, "%" PRId64, bytes_of(target)) };
	struct context context = { .from = 0 };
	struct db_rows *rows = NULL;
	enum err err = ERR_MEMORY;

	if (args[2] != NULL)
		err = db_query(req->db, DB_MESSAGES_CONTEXT, args, &rows);
	if (err == OK && rows_count(rows) == 0)
		err = ERR_MISSING;
	if (err == OK) {
		context.rows = rows;
		context.count = rows_count(rows);
		err = make_request(req, &context, target, body, out);
	}
	rows_free(rows);
	return err;
}
