/*
 * minichat.c - one question, one answer, with the chat so far as context.
 *
 * The question is stored before the call, the answer before its end is told.
 * An answer whose client left half-way is stored as far as it came; one that
 * failed is not, it is in the log.
 */
#include "api/minichat.h"

#include <inttypes.h>
#include <string.h>

#include "api/after.h"
#include "api/app.h"
#include "api/context.h"
#include "api/event_line.h"
#include "api/llm_common.h"
#include "api/messages.h"
#include "base/uuid.h"
#include "db/db.h"
#include "http/accept.h"
#include "http/body.h"
#include "http/check.h"
#include "http/problem.h"
#include "http/query.h"
#include "http/response.h"

#define QUESTION_MAX 100000 /* characters */
#define MODEL_MAX    200
#define CHAT_MAX     200

struct question {
	const char *text;
	const char *model; /* NULL: the default */
	const char *chat;  /* its id; NULL: the user's own */
	bool events;       /* else one answer: */
	bool json;         /* an object, else text */
	/* in the relay's thread */
	char answer[UUID_TEXT_SIZE];
};

/* --- the answer ------------------------------------------------------- */

static void
begin(struct call *call)
{
	const struct question *question = call->sink_data;

	if (!question->events || outlet_begun(call->outlet))
		return;
	response_header(outlet_request(call->outlet), "X-Call-Id",
	    call->id_text);
	outlet_begin(call->outlet, 200, "text/event-stream");
}

static void
event(struct call *call, const struct call_event *event)
{
	struct event_line line;

	if (event->text_len == 0)
		return;
	event_line_open(&line, "chunk");
	jsonw_key(&line.json, "content");
	jsonw_string_len(&line.json, event->text, event->text_len);
	if (event_line_send(&line, call->outlet) != OK)
		call_fail(call, "out_of_memory", NULL);
}

/* Null for what is not known, which is -1.  False: no memory. */
static bool
number(struct arena *arena, int64_t value, const char **out)
{
	*out = value < 0 ? NULL : arena_printf(arena, "%" PRId64, value);
	return value < 0 || *out != NULL;
}

static int64_t
tokens_of(const struct call_usage *usage)
{
	if (usage->prompt < 0 || usage->completion < 0)
		return -1;
	return usage->prompt + usage->completion;
}

static enum err
insert(struct call *call, struct db *db, struct arena *arena)
{
	const struct question *question = call->sink_data;
	const char *args[13] = {
		outlet_request(call->outlet)->who.user_text,
		question->chat,
		question->answer,
		buf_str(&call->text),
		NULL, /* tool calls */
		call->end == CALL_COMPLETED ? "{}" : "{\"cancelled\":true}",
	};
	int64_t latency = (call->ended_us - call->started_us) / 1000;

	args[10] = call->target->model;
	args[12] = call->id_text;
	if (!number(arena, tokens_of(&call->usage), &args[6]) ||
	    !number(arena, call->usage.prompt, &args[7]) ||
	    !number(arena, call->usage.completion, &args[8]) ||
	    !number(arena, latency, &args[9]) ||
	    !number(arena, call->cost_pico, &args[11]))
		return ERR_MEMORY;
	/* no row: the chat was deleted meanwhile, and takes no answer */
	return db_query(db, DB_MESSAGES_ANSWER, args, NULL);
}

static enum err
store(struct call *call, struct db *db)
{
	struct arena *arena = arena_new();
	enum err err = arena == NULL ? ERR_MEMORY : insert(call, db, arena);

	arena_free(arena);
	return err;
}

static void
write_usage(struct jsonw *w, const struct call_usage *usage)
{
	const struct {
		const char *name;
		int64_t tokens;
	} counts[] = {
		{ "prompt_tokens", usage->prompt },
		{ "completion_tokens", usage->completion },
		{ "total_tokens", tokens_of(usage) },
	};

	jsonw_object(w);
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		jsonw_key(w, counts[i].name);
		if (counts[i].tokens < 0)
			jsonw_null(w);
		else
			jsonw_int(w, counts[i].tokens);
	}
	jsonw_end_object(w);
}

static void
reply_json(struct http_request *req, const struct call *call)
{
	const struct question *question = call->sink_data;
	struct jsonw w;

	(void)response_json(req, 201);
	jsonw_init(&w, &req->out);
	jsonw_object(&w);
	jsonw_kv(&w, "id", question->answer);
	jsonw_kv(&w, "question", question->text);
	jsonw_key(&w, "answer");
	jsonw_string_len(&w, buf_str(&call->text), call->text.len);
	jsonw_kv(&w, "model", call->target->model);
	jsonw_key(&w, "usage");
	write_usage(&w, &call->usage);
	jsonw_key(&w, "cost");
	jsonw_usd(&w, call->cost_pico);
	jsonw_end_object(&w);
}

static void
reply_whole(struct call *call)
{
	const struct question *question = call->sink_data;
	struct http_request *req = outlet_request(call->outlet);

	response_header(req, "X-Call-Id", call->id_text);
	if (call->end != CALL_COMPLETED) {
		(void)call_problem(call);
	} else if (question->json) {
		reply_json(req, call);
	} else {
		(void)response_type(req, 201, "text/plain; charset=utf-8");
		buf_add(&req->out, buf_str(&call->text), call->text.len);
	}
}

static enum err
tell_end(const struct call *call)
{
	const struct question *question = call->sink_data;
	struct event_line line;

	if (call->end == CALL_COMPLETED) {
		event_line_open(&line, "done");
		jsonw_kv(&line.json, "id", question->answer);
	} else {
		event_line_open(&line, "error");
		jsonw_kv(&line.json, "message", call->error_detail);
	}
	return event_line_send(&line, call->outlet);
}

/* Without its last event a stream is one that broke off. */
static void
answer(struct call *call)
{
	if (!outlet_begun(call->outlet))
		reply_whole(call);
	else if (tell_end(call) != OK)
		(void)request_fail(outlet_request(call->outlet), ERR_MEMORY,
		    "the last event was not sent");
	outlet_finish(call->outlet);
}

static void
then(struct call *call, enum err err)
{
	if (err != OK && call->end == CALL_COMPLETED)
		after_fail(call, err);
	answer(call);
}

static void
end(struct call *call)
{
	static const struct after_steps steps = { store, then };
	struct question *question = call->sink_data;
	struct uuid id;

	if (call->end != CALL_COMPLETED &&
	    (call->end != CALL_CANCELLED || call->text.len == 0)) {
		answer(call);
		return;
	}
	/* made here: it comes after what the chat got meanwhile */
	if (uuid_make(&id) != OK) {
		then(call, ERR_SYSTEM);
		return;
	}
	uuid_text(&id, question->answer);
	after_call(outlet_request(call->outlet)->app->after, call, &steps);
}

static const struct call_sink sink = { begin, event, end };

/* --- the question ----------------------------------------------------- */

static enum handled
refuse(struct http_request *req, enum err err)
{
	if (err == ERR_MISSING)
		return problem_reply(req, err, "there is no such chat");
	(void)request_fail(req, err, "mini chat: %s",
	    db_fault(req->db)->sqlstate);
	return problem_of(req, err);
}

/* The chat's id as it is bound: the user's own without one. */
static enum err
find_chat(struct http_request *req, struct question *question)
{
	char canonical[UUID_TEXT_SIZE];
	struct uuid id = req->who.user_id;

	if (question->chat != NULL && uuid_parse(question->chat, &id) != OK)
		return ERR_MISSING;
	uuid_text(&id, canonical);
	question->chat = arena_strdup(req->arena, canonical);
	return question->chat == NULL ? ERR_MEMORY : OK;
}

/* The question in the user's own chat, which is made with the first one. */
static enum err
ask_own(struct http_request *req, const struct question *question,
    struct message *message)
{
	const char *args[3] = { req->who.user_text, message->id,
		question->text };

	message->chat_id = question->chat;
	return db_query(req->db, DB_MINICHAT_ASK, args, NULL);
}

/* Ready to be asked: what an earlier attempt asked is no context of it. */
static enum err
prepare(struct http_request *req, const struct question *question,
    struct message *message)
{
	*message = (struct message){
		.role = "user",
		.content = question->text,
		.metadata = "{}",
		.tokens = -1,
		.prompt_tokens = -1,
		.completion_tokens = -1,
		.latency = -1,
		.cost_pico = -1,
	};
	return messages_ask_id(req, question->chat, message);
}

static enum err
ask(struct http_request *req, const struct question *question,
    struct message *message)
{
	if (strcmp(question->chat, req->who.user_text) == 0)
		return ask_own(req, question, message);
	return messages_add(req, question->chat, message, 1);
}

/* Nothing of a question that was not asked stays. */
static void
forget(struct http_request *req, const struct message *message)
{
	const char *args[3] = { req->who.user_text, message->chat_id,
		message->id };

	if (db_query(req->db, DB_MESSAGES_DELETE, args, NULL) != OK)
		(void)request_fail(req, ERR_BUSY,
		    "a question without an answer stays");
}

static enum err
request_of_rows(struct http_request *req, struct call *call,
    const struct db_rows *rows)
{
	const struct question *question = call->sink_data;
	size_t count = rows_count(rows);
	struct llm_message *messages =
	    arena_alloc(req->arena, (count + 1) * sizeof(*messages));

	if (messages == NULL)
		return ERR_MEMORY;
	for (size_t row = 0; row < count; row++)
		messages[row] = (struct llm_message){ rows_text(rows, row, 0),
			rows_text(rows, row, 1) };
	messages[count] = (struct llm_message){ "user", question->text };
	return context_request(req, call, messages, count + 1);
}

/* Before the question is stored: of two at once each is asked its own. */
static enum err
set_request(struct http_request *req, struct call *call)
{
	const struct question *question = call->sink_data;
	const char *args[3] = { req->who.user_text, question->chat,
		context_bytes(req, call->target) };
	struct db_rows *rows = NULL;
	enum err err;

	if (args[2] == NULL)
		return ERR_MEMORY;
	err = db_query(req->db, DB_MINICHAT_CONTEXT, args, &rows);
	if (err == OK)
		err = request_of_rows(req, call, rows);
	rows_free(rows);
	return err;
}

/* NULL: the client was answered. */
static struct call *
make_call(struct http_request *req, struct question *question)
{
	const struct catalog_target *target;
	struct snapshot *snapshot;
	struct call *call;

	target = llm_target_or_reply(req, question->model, &snapshot);
	if (target == NULL)
		return NULL;
	call = llm_call_new(req, &sink, question, target, snapshot);
	if (call == NULL) {
		(void)problem_of(req, ERR_MEMORY);
		return NULL;
	}
	call->kind = "question";
	call->chat_id = question->chat;
	call->stream = question->events;
	call->request_text = question->text;
	return call;
}

static enum handled
run(struct http_request *req, struct question *question)
{
	struct message message;
	enum handled handled;
	struct call *call;
	enum err err = find_chat(req, question);

	if (err != OK)
		return refuse(req, err);
	call = make_call(req, question);
	if (call == NULL)
		return ANSWERED;
	err = prepare(req, question, &message);
	if (err == OK)
		err = set_request(req, call);
	if (err == OK)
		err = ask(req, question, &message);
	if (err != OK) {
		snapshot_release(call->snapshot);
		return refuse(req, err);
	}
	handled = llm_start_or_reply(req, call);
	if (handled == ANSWERED)
		forget(req, &message);
	return handled;
}

static void
read_accept(struct http_request *req, struct question *question)
{
	static const char *const types[] = { "text/plain", "application/json",
		"text/event-stream", NULL };
	size_t best = accept_best(req, types);

	question->json = best == 1;
	if (best == 2)
		question->events = true;
}

enum handled
minichat_question(struct http_request *req)
{
	struct question *question = arena_alloc(req->arena, sizeof(*question));
	struct problem_fields *bad = problem_fields(req);
	struct jsonr *body;

	if (question == NULL)
		return problem_of(req, ERR_MEMORY);
	if (body_object_or_reply(req, &body) != OK)
		return ANSWERED;
	body_string(bad, body, "question", REQUIRED, 1, QUESTION_MAX,
	    &question->text);
	body_string(bad, body, "model", OPTIONAL, 1, MODEL_MAX,
	    &question->model);
	body_string(bad, body, "chatId", OPTIONAL, 1, CHAT_MAX,
	    &question->chat);
	body_bool(bad, body, "stream", OPTIONAL, &question->events);
	if (problem_fields_any(bad))
		return problem_fields_reply(bad);
	read_accept(req, question);
	return run(req, question);
}

static void
read_text(struct http_request *req, struct problem_fields *bad,
    struct question *question)
{
	const int64_t range[2] = { 1, QUESTION_MAX };

	question->text = request_query(req, "question");
	if (question->text == NULL)
		problem_field(bad, "question", "is required");
	else
		(void)check_length(bad, "question", question->text,
		    strlen(question->text), range);
}

enum handled
minichat_stream(struct http_request *req)
{
	struct question *question = arena_alloc(req->arena, sizeof(*question));
	struct problem_fields *bad = problem_fields(req);

	if (question == NULL)
		return problem_of(req, ERR_MEMORY);
	if (req->head)
		return response_type(req, 200, "text/event-stream");
	question->events = true;
	read_text(req, bad, question);
	query_string(req, bad, "model", MODEL_MAX, &question->model);
	if (problem_fields_any(bad))
		return problem_fields_reply(bad);
	return run(req, question);
}
