/*
 * chat_completions.c - a turn of a chat: the user's message is stored before
 * the call, the model's answer before its end is told.
 *
 * An answer whose client left half-way is stored as far as it came; one that
 * failed is not, it is in the log.
 */
#include "api/chat_completions.h"

#include <inttypes.h>
#include <string.h>

#include "api/after.h"
#include "api/app.h"
#include "api/chat_context.h"
#include "api/gateway.h"
#include "api/llm_common.h"
#include "api/messages.h"
#include "api/tool_calls.h"
#include "base/uuid.h"
#include "http/body.h"
#include "http/problem.h"

#define MODEL_MAX 200 /* characters */

/* What the end of the call needs; in the request's arena. */
struct turn {
	const char *chat_id;
	char answer_id[UUID_TEXT_SIZE];
	struct tool_calls tools; /* of a stream */
	/* what is stored */
	const char *content;
	struct buf tools_json;
};

static void
fini(void *arg)
{
	struct turn *turn = arg;

	tool_calls_fini(&turn->tools);
	buf_fini(&turn->tools_json);
}

static void
take_event(struct call *call, const struct call_event *event)
{
	struct turn *turn = call->sink_data;

	gateway_event(call, event);
	if (event->tool)
		tool_calls_event(&turn->tools, event->data, event->data_len);
}

/* Text and tool calls of a whole answer, as they came: call->text holds its
 * message where it has no text. */
static void
take_whole(struct call *call, struct arena *arena)
{
	struct turn *turn = call->sink_data;
	const struct jsonr *message, *calls;
	struct jsonr *answer;
	const char *text;
	size_t len;

	if (jsonr_parse(arena, buf_str(&call->body), call->body.len, &answer,
		NULL) != OK)
		return;
	message = jsonr_get(tool_calls_choice(answer), "message");
	if (jsonr_string(jsonr_get(message, "content"), &text, NULL) != OK)
		turn->content = "";
	calls = jsonr_get(message, "tool_calls");
	if (jsonr_kind(calls) != JSONR_ARRAY || jsonr_count(calls) == 0)
		return;
	jsonr_raw(calls, &text, &len);
	buf_add(&turn->tools_json, text, len);
}

static const char *
number(struct arena *arena, int64_t value)
{
	return value < 0 ? NULL : arena_printf(arena, "%" PRId64, value);
}

static int64_t
sum(int64_t a, int64_t b)
{
	return a < 0 || b < 0 || a > INT64_MAX - b ? -1 : a + b;
}

/* The arguments of sql/queries/messages/answer.sql. */
static enum err
store(struct call *call, struct db *db, struct arena *arena)
{
	const struct http_request *req = outlet_request(call->outlet);
	const struct call_usage *usage = &call->usage;
	const struct turn *turn = call->sink_data;
	const char *args[13] = {
		req->who.user_text,
		turn->chat_id,
		turn->answer_id,
		turn->content,
		turn->tools_json.len > 0 ? buf_str(&turn->tools_json) : NULL,
		call->end == CALL_COMPLETED ? "{}" : "{\"cancelled\":true}",
		number(arena, sum(usage->prompt, usage->completion)),
		number(arena, usage->prompt),
		number(arena, usage->completion),
		number(arena, (call->ended_us - call->started_us) / 1000),
		call->target->model,
		number(arena, call->cost_pico),
		call->id_text,
	};
	struct db_rows *rows = NULL;
	enum err err = db_query(db, DB_MESSAGES_ANSWER, args, &rows);

	if (err == OK && rows_count(rows) == 0)
		err = ERR_MISSING;
	rows_free(rows);
	return err;
}

/* A thread of the store pool; maybe a second time. */
static enum err
work(struct call *call, struct db *db)
{
	struct turn *turn = call->sink_data;
	struct arena *arena = arena_new();
	enum err err;

	if (arena == NULL)
		return ERR_MEMORY;
	turn->content = buf_str(&call->text);
	buf_reset(&turn->tools_json);
	if (call->end == CALL_COMPLETED && call->stream)
		(void)tool_calls_write(&turn->tools, &turn->tools_json);
	else if (call->end == CALL_COMPLETED)
		take_whole(call, arena);
	err = buf_ok(&turn->tools_json) ? store(call, db, arena) : ERR_MEMORY;
	arena_free(arena);
	return err;
}

static void
then(struct call *call, enum err err)
{
	/* a chat that was deleted meanwhile takes no answer, but its client
	 * does */
	if (err != OK && err != ERR_MISSING && call->end == CALL_COMPLETED)
		after_fail(call, err);
	gateway_end(call);
}

static const struct after_steps steps = { work, then };

static void
end(struct call *call)
{
	struct http_request *req = outlet_request(call->outlet);

	if (call->end == CALL_COMPLETED ||
	    (call->end == CALL_CANCELLED && call->text.len > 0))
		after_call(req->app->after, call, &steps);
	else
		gateway_end(call);
}

static const struct call_sink sink = { gateway_begin, take_event, end };

/* What is asked for. */
struct fields {
	struct message question;
	const char *model;
	bool stream, usage_asked;
	struct llm_notes notes;
	const struct catalog_target *target;
	struct snapshot *snapshot; /* a reference, until a call has it */
};

static bool
read_fields(struct http_request *req, const struct jsonr *body,
    struct fields *out)
{
	struct problem_fields *bad = problem_fields(req);
	const struct jsonr *options = jsonr_get(body, "stream_options");

	body_string(bad, body, "content", REQUIRED, 1, MESSAGE_CONTENT_MAX,
	    &out->question.content);
	body_string(bad, body, "model", REQUIRED, 1, MODEL_MAX, &out->model);
	body_bool(bad, body, "stream", OPTIONAL, &out->stream);
	if (jsonr_kind(options) == JSONR_OBJECT)
		body_bool(bad, options, "include_usage", OPTIONAL,
		    &out->usage_asked);
	else if (jsonr_kind(options) != JSONR_NULL)
		problem_field(bad, "stream_options", "must be an object");
	llm_notes_read(body, &out->notes);
	if (!problem_fields_any(bad))
		return true;
	(void)problem_fields_reply(bad);
	return false;
}

static enum handled
refuse(struct http_request *req, enum err err)
{
	if (err == ERR_MISSING)
		return problem_reply(req, err, "there is no such chat");
	(void)request_fail(req, err, "completions: %s",
	    db_fault(req->db)->sqlstate);
	return problem_of(req, err);
}

static enum err
make_turn(struct http_request *req, const char *chat_id, struct turn **out)
{
	struct turn *turn = arena_alloc(req->arena, sizeof(*turn));
	struct uuid id;

	if (turn == NULL)
		return ERR_MEMORY;
	if (uuid_make(&id) != OK)
		return ERR_SYSTEM;
	uuid_text(&id, turn->answer_id);
	turn->chat_id = chat_id;
	buf_init(&turn->tools_json, CALL_BODY_MAX);
	*out = turn;
	return arena_on_free(req->arena, fini, turn);
}

static void
fill_call(struct call *call, const struct fields *fields, const char *json)
{
	const struct turn *turn = call->sink_data;

	call->kind = "chat";
	call->chat_id = turn->chat_id;
	call->stream = fields->stream;
	call->usage_asked = fields->usage_asked;
	call->request_json = json;
	call->request_len = strlen(json);
	call->end_user = fields->notes.user;
	call->metadata = fields->notes.metadata;
}

/* Nothing of a turn whose call was not started stays. */
static void
forget(struct http_request *req, const struct message *question)
{
	const char *const args[3] = { req->who.user_text, question->chat_id,
		question->id };

	if (db_query(req->db, DB_MESSAGES_DELETE, args, NULL) != OK)
		(void)request_fail(req, ERR_BUSY,
		    "a question without an answer stays");
}

/* The question is stored.  Takes the reference of the snapshot over. */
static enum handled
start(struct http_request *req, const struct jsonr *body, struct fields *fields)
{
	const char *chat_id = fields->question.chat_id;
	const char *json = NULL;
	struct turn *turn = NULL;
	struct call *call = NULL;
	enum err err;

	err = chat_context_request(req, chat_id, fields->target, body, &json);
	if (err == OK)
		err = make_turn(req, chat_id, &turn);
	if (err == OK) {
		call = llm_call_new(req, &sink, turn, fields->target,
		    fields->snapshot);
		fields->snapshot = NULL;
		err = call == NULL ? ERR_MEMORY : OK;
	}
	if (err != OK) {
		snapshot_release(fields->snapshot);
		return refuse(req, err);
	}
	fill_call(call, fields, json);
	return llm_start_or_reply(req, call);
}

enum handled
chat_completions(struct http_request *req)
{
	struct fields fields = { .question = { .role = "user",
				     .metadata = "{}",
				     .tokens = -1,
				     .prompt_tokens = -1,
				     .completion_tokens = -1,
				     .latency = -1,
				     .cost_pico = -1 } };
	enum handled handled;
	const char *chat_id;
	struct jsonr *body;
	struct uuid id;
	enum err err;

	if (body_object_or_reply(req, &body) != OK)
		return ANSWERED;
	if (!read_fields(req, body, &fields))
		return ANSWERED;
	if (request_param_uuid(req, "id", &id, &chat_id) != OK)
		return refuse(req, ERR_MISSING);
	fields.target =
	    llm_target_or_reply(req, fields.model, &fields.snapshot);
	if (fields.target == NULL)
		return ANSWERED;
	err = messages_ask_id(req, chat_id, &fields.question);
	if (err == OK)
		err = messages_add(req, chat_id, &fields.question, 1);
	if (err != OK) {
		snapshot_release(fields.snapshot);
		return refuse(req, err);
	}
	handled = start(req, body, &fields);
	if (handled == ANSWERED)
		forget(req, &fields.question);
	return handled;
}
