/*
 * message.c - a message of a chat: from a body, from a row, as JSON.
 */
#include "api/message.h"

#include <string.h>

#include "http/body.h"

static const char *const roles[] = { "user", "assistant", "system", "function",
	"tool", NULL };

static const struct message nothing = {
	.tokens = -1,
	.prompt_tokens = -1,
	.completion_tokens = -1,
	.latency = -1,
	.cost_pico = -1,
};

/* Any JSON of one kind, kept as its text. */
static void
read_kind(struct problem_fields *bad, const struct jsonr *body,
    const char *name, enum jsonr_kind kind, const char **out)
{
	const struct jsonr *value = jsonr_get(body, name);
	int64_t max = strcmp(name, "metadata") == 0 ? MESSAGE_METADATA_MAX
						    : MESSAGE_CALLS_MAX;

	if (jsonr_kind(value) == JSONR_NULL)
		return;
	if (jsonr_kind(value) != kind)
		problem_field(bad, name, "must be %s",
		    kind == JSONR_OBJECT ? "an object" : "an array of objects");
	else
		body_any(bad, body, name, max, out);
}

static void
read_tool_calls(struct problem_fields *bad, const struct jsonr *body,
    const char **out)
{
	const struct jsonr *calls = jsonr_get(body, "toolCalls");

	read_kind(bad, body, "toolCalls", JSONR_ARRAY, out);
	for (size_t i = 0; *out != NULL && i < jsonr_count(calls); i++) {
		if (jsonr_kind(jsonr_at(calls, i)) == JSONR_OBJECT)
			continue;
		problem_field(bad, "toolCalls", "must be an array of objects");
		return;
	}
}

static void
read_counts(struct problem_fields *bad, const struct jsonr *body,
    struct message *out)
{
	body_int(bad, body, "tokens", OPTIONAL, 0, INT64_MAX, &out->tokens);
	body_int(bad, body, "promptTokens", OPTIONAL, 0, INT64_MAX,
	    &out->prompt_tokens);
	body_int(bad, body, "completionTokens", OPTIONAL, 0, INT64_MAX,
	    &out->completion_tokens);
	body_int(bad, body, "latency", OPTIONAL, 0, INT64_MAX, &out->latency);
}

void
message_read_change(struct problem_fields *bad, const struct jsonr *body,
    struct message *out)
{
	*out = nothing;
	body_string(bad, body, "content", OPTIONAL, 1, MESSAGE_CONTENT_MAX,
	    &out->content);
	read_kind(bad, body, "metadata", JSONR_OBJECT, &out->metadata);
	read_counts(bad, body, out);
}

void
message_read(struct problem_fields *bad, const struct jsonr *body,
    struct message *out)
{
	const struct jsonr *function = jsonr_get(body, "functionCall");
	const struct jsonr *tools = jsonr_get(body, "toolCalls");
	bool calls =
	    jsonr_kind(function) == JSONR_OBJECT ||
	    (jsonr_kind(tools) == JSONR_ARRAY && jsonr_count(tools) > 0);

	*out = nothing;
	body_word(bad, body, "role", REQUIRED, roles, &out->role);
	body_string(bad, body, "content", calls ? OPTIONAL : REQUIRED,
	    calls ? 0 : 1, MESSAGE_CONTENT_MAX, &out->content);
	body_string(bad, body, "name", OPTIONAL, 1, MESSAGE_NAME_MAX,
	    &out->name);
	read_kind(bad, body, "functionCall", JSONR_OBJECT, &out->function_call);
	read_tool_calls(bad, body, &out->tool_calls);
	read_kind(bad, body, "metadata", JSONR_OBJECT, &out->metadata);
	read_counts(bad, body, out);
	if (out->content == NULL)
		out->content = "";
	if (out->metadata == NULL)
		out->metadata = "{}";
}

static int64_t
number(const struct db_rows *rows, size_t row, size_t col)
{
	return rows_is_null(rows, row, col) ? -1 : rows_int64(rows, row, col);
}

/* As text into out; NULL on null. */
static const char *
id_text(const struct db_rows *rows, size_t row, size_t col,
    char out[UUID_TEXT_SIZE])
{
	struct uuid id;

	if (!rows_uuid(rows, row, col, &id))
		return NULL;
	uuid_text(&id, out);
	return out;
}

static void
set_times(const struct db_rows *rows, size_t row, size_t col,
    struct message_row *out)
{
	int64_t created_us = rows_wall_us(rows, row, col);
	int64_t updated_us = rows_wall_us(rows, row, col + 1);

	clock_text_ms(created_us, out->created);
	out->message.created = out->created;
	out->message.updated = out->created; /* mostly */
	if (updated_us == created_us)
		return;
	clock_text_ms(updated_us, out->updated);
	out->message.updated = out->updated;
}

void
message_from_row(const struct db_rows *rows, size_t row, size_t first,
    const char *chat_id, struct message_row *out)
{
	out->message = (struct message){
		.id = id_text(rows, row, first, out->id),
		.chat_id = chat_id,
		.role = rows_text(rows, row, first + 1),
		.content = rows_text(rows, row, first + 2),
		.name = rows_text(rows, row, first + 3),
		.function_call = rows_text(rows, row, first + 4),
		.tool_calls = rows_text(rows, row, first + 5),
		.metadata = rows_text(rows, row, first + 6),
		.tokens = number(rows, row, first + 7),
		.prompt_tokens = number(rows, row, first + 8),
		.completion_tokens = number(rows, row, first + 9),
		.latency = number(rows, row, first + 10),
		.model = rows_text(rows, row, first + 11),
		.cost_pico = number(rows, row, first + 12),
		.call_id = id_text(rows, row, first + 13, out->call_id),
	};
	set_times(rows, row, first + 14, out);
}

static void
write_json(struct jsonw *w, const char *key, const char *json)
{
	jsonw_key(w, key);
	if (json == NULL)
		jsonw_null(w);
	else
		jsonw_raw(w, json, strlen(json));
}

static void
write_count(struct jsonw *w, const char *key, int64_t count)
{
	jsonw_kv_int(w, key, count < 0 ? 0 : count);
}

void
message_write(struct jsonw *w, const struct message *message)
{
	jsonw_object(w);
	jsonw_kv(w, "id", message->id);
	jsonw_kv(w, "_id", message->id);
	jsonw_kv(w, "chatId", message->chat_id);
	jsonw_kv(w, "role", message->role);
	jsonw_kv(w, "content", message->content);
	jsonw_kv(w, "name", message->name);
	write_json(w, "functionCall", message->function_call);
	write_json(w, "toolCalls", message->tool_calls);
	write_json(w, "metadata", message->metadata);
	write_count(w, "tokens", message->tokens);
	write_count(w, "promptTokens", message->prompt_tokens);
	write_count(w, "completionTokens", message->completion_tokens);
	write_count(w, "latency", message->latency);
	if (message->call_id != NULL) {
		jsonw_kv(w, "model", message->model);
		jsonw_key(w, "cost");
		jsonw_usd(w, message->cost_pico);
		jsonw_kv(w, "callId", message->call_id);
	}
	jsonw_kv(w, "createdAt", message->created);
	jsonw_kv(w, "updatedAt", message->updated);
	jsonw_end_object(w);
}

static void
record_count(struct jsonw *w, const char *key, int64_t count)
{
	if (count >= 0)
		jsonw_kv_int(w, key, count);
}

void
message_write_record(struct jsonw *w, const struct message *message)
{
	jsonw_object(w);
	jsonw_kv(w, "id", message->id);
	jsonw_kv(w, "role", message->role);
	jsonw_kv(w, "content", message->content);
	if (message->name != NULL)
		jsonw_kv(w, "name", message->name);
	if (message->function_call != NULL)
		write_json(w, "functionCall", message->function_call);
	if (message->tool_calls != NULL)
		write_json(w, "toolCalls", message->tool_calls);
	write_json(w, "metadata", message->metadata);
	record_count(w, "tokens", message->tokens);
	record_count(w, "promptTokens", message->prompt_tokens);
	record_count(w, "completionTokens", message->completion_tokens);
	record_count(w, "latency", message->latency);
	jsonw_end_object(w);
}

static void
write_member(struct jsonw *w, const char *key, const struct jsonr *value)
{
	const char *text;
	size_t len;

	jsonr_raw(value, &text, &len);
	jsonw_key(w, key);
	jsonw_raw(w, text, len);
}

static void
write_merged(struct jsonw *w, const struct jsonr *old,
    const struct jsonr *change)
{
	const struct jsonr *value, *newer;
	const char *key;

	jsonw_object(w);
	for (size_t i = 0; i < jsonr_count(old); i++) {
		value = jsonr_member(old, i, &key);
		newer = jsonr_get(change, key);
		write_member(w, key, newer == NULL ? value : newer);
	}
	for (size_t i = 0; i < jsonr_count(change); i++) {
		value = jsonr_member(change, i, &key);
		if (jsonr_get(old, key) == NULL)
			write_member(w, key, value);
	}
	jsonw_end_object(w);
}

const char *
message_merge(struct arena *arena, const char *old, const char *change)
{
	struct jsonr *old_json, *change_json;
	const char *merged = NULL;
	struct buf out;
	struct jsonw w;

	if (jsonr_parse(arena, old, strlen(old), &old_json, NULL) != OK ||
	    jsonr_parse(arena, change, strlen(change), &change_json, NULL) !=
		OK)
		return NULL;
	/* the keys are escaped again, and a separator may be added */
	buf_init(&out, 8 * (strlen(old) + strlen(change)) + 64);
	jsonw_init(&w, &out);
	write_merged(&w, old_json, change_json);
	if (buf_ok(&out))
		merged = arena_strdup(arena, out.data);
	buf_fini(&out);
	return merged;
}
