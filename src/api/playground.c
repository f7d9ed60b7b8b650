/*
 * playground.c - GET /playground/stream: from the query to the started calls.
 *
 * Everything that can be refused is refused before anything is taken from the
 * user's limit, and the limit before anything is stored.
 */
#include "api/playground.h"

#include <string.h>

#include "api/admit.h"
#include "api/app.h"
#include "api/context.h"
#include "api/llm_common.h"
#include "api/playground_run.h"
#include "base/uuid.h"
#include "db/db.h"
#include "http/check.h"
#include "http/problem.h"
#include "http/response.h"
#include "json/write.h"

#define PROMPT_MAX 100000 /* characters */
#define MODELS_MAX 8
#define MODEL_MAX  200   /* characters of a model's name */
#define TURNS_MAX  65536 /* bytes of the ids and names of a run's turns */
#define STORE_MS   60000 /* from the end of a call to its stored turn */

struct ask {
	const char *prompt;
	const char *models[MODELS_MAX];
	size_t count;
	const char *session; /* its id */
	bool continued;      /* it is there already */
	struct run *run;
	struct call *calls; /* linked, in the order of models */
	const char *turns;  /* [{"id","model"}] */
};

int64_t
playground_patience_ms(const struct config *config)
{
	return config->total_ms + STORE_MS;
}

/* --- the limit -------------------------------------------------------- */

static const char *
limit_name(struct http_request *req)
{
	return arena_printf(req->arena, "playground:%s:%lld",
	    req->who.user_text, (long long)req->app->config->rate_window_ms);
}

static enum err
look(struct http_request *req, struct limit_state *state)
{
	const struct config *config = req->app->config;
	const char *name = limit_name(req);

	if (name == NULL)
		return ERR_MEMORY;
	return limit_look(req->app->limits, name, config->rate_max,
	    config->rate_window_ms, state);
}

static enum err
take(struct http_request *req, size_t count, struct limit_state *state)
{
	const struct config *config = req->app->config;
	const char *name = limit_name(req);

	if (name == NULL)
		return ERR_MEMORY;
	return limit_take(req->app->limits, name, (int64_t)count,
	    config->rate_max, config->rate_window_ms, state);
}

/* The run was not started after all. */
static void
give(struct http_request *req, size_t count, struct limit_state *state)
{
	const char *name = limit_name(req);

	if (name == NULL)
		return;
	limit_give(req->app->limits, name, (int64_t)count, state);
	state->remaining += (int64_t)count;
}

static enum handled
reply_limited(struct http_request *req, const struct limit_state *state)
{
	struct problem problem = {
		.err = ERR_LIMIT,
		.retry_after = (int)state->reset_s,
	};

	problem.detail = arena_printf(req->arena,
	    "Of %lld model calls only %lld are left: try again in %lld "
	    "seconds.",
	    (long long)state->limit, (long long)state->remaining,
	    (long long)state->reset_s);
	return problem_send(req, &problem);
}

/* What a refusal says of the limit, of which it took nothing. */
static void
tell_untouched(struct http_request *req)
{
	struct limit_state state = { .limit = 0 };

	(void)!look(req, &state);
	if (state.limit > 0)
		admit_headers(req, &state);
}

/* --- the query -------------------------------------------------------- */

static void
read_prompt(struct http_request *req, struct problem_fields *bad,
    struct ask *ask)
{
	const int64_t range[2] = { 1, PROMPT_MAX };

	ask->prompt = request_query(req, "prompt");
	if (ask->prompt == NULL)
		problem_field(bad, "prompt", "is required");
	else
		(void)check_length(bad, "prompt", ask->prompt,
		    strlen(ask->prompt), range);
}

/* The first len bytes of text without blanks around them, in the arena. */
static const char *
trimmed(struct arena *arena, const char *text, size_t len)
{
	while (len > 0 && strchr(" \t\r\n", *text) != NULL) {
		text++;
		len--;
	}
	while (len > 0 && strchr(" \t\r\n", text[len - 1]) != NULL)
		len--;
	return arena_strndup(arena, text, len);
}

static void
add_model(struct problem_fields *bad, struct ask *ask, const char *name)
{
	const int64_t range[2] = { 0, MODEL_MAX };

	if (*name == '\0') {
		problem_field(bad, "models", "must not have an empty name");
		return;
	}
	if (!check_length(bad, "models", name, strlen(name), range))
		return;
	for (size_t i = 0; i < ask->count; i++) {
		if (strcmp(ask->models[i], name) != 0)
			continue;
		problem_field(bad, "models", "must not name a model twice");
		return;
	}
	ask->models[ask->count++] = name;
}

static size_t
count_items(const char *list)
{
	size_t count = 1;

	for (; *list != '\0'; list++)
		count += *list == ',';
	return count;
}

static enum err
read_models(struct http_request *req, struct problem_fields *bad,
    struct ask *ask)
{
	const char *text = request_query(req, "models");

	if (text == NULL) {
		problem_field(bad, "models", "is required");
		return OK;
	}
	if (count_items(text) > MODELS_MAX) {
		problem_field(bad, "models",
		    "must name 1 to %d models, with commas between",
		    MODELS_MAX);
		return OK;
	}
	for (;;) {
		size_t len = strcspn(text, ",");
		const char *name = trimmed(req->arena, text, len);

		if (name == NULL)
			return ERR_MEMORY;
		add_model(bad, ask, name);
		if (text[len] == '\0')
			return OK;
		text += len + 1;
	}
}

/* The session that goes on, or a new one's id.  ERR_MISSING. */
static enum err
find_session(struct http_request *req, struct ask *ask)
{
	const char *text = request_query(req, "sessionId");
	const char *args[2] = { req->who.user_text };
	char canonical[UUID_TEXT_SIZE];
	struct db_rows *rows = NULL;
	struct uuid id;
	enum err err;

	ask->continued = text != NULL && *text != '\0';
	if (ask->continued && uuid_parse(text, &id) != OK)
		return ERR_MISSING;
	err = ask->continued ? OK : uuid_make(&id);
	if (err != OK)
		return err;
	uuid_text(&id, canonical);
	ask->session = arena_strdup(req->arena, canonical);
	if (ask->session == NULL)
		return ERR_MEMORY;
	if (!ask->continued)
		return OK;
	args[1] = ask->session;
	err = db_query(req->db, DB_PLAYGROUND_EXISTS, args, &rows);
	if (err == OK && rows_count(rows) == 0)
		err = ERR_MISSING;
	rows_free(rows);
	return err;
}

/* --- the calls -------------------------------------------------------- */

static enum handled
refuse(struct http_request *req, enum err err)
{
	if (err == ERR_MISSING)
		return problem_reply(req, err, "there is no such session");
	(void)request_fail(req, err, "playground: %s",
	    db_fault(req->db)->sqlstate);
	return problem_of(req, err);
}

/* What is known so far, oldest first, and the prompt. */
static enum err
request_of_rows(struct http_request *req, struct call *call,
    const struct db_rows *rows, const char *prompt)
{
	size_t count = 2 * rows_count(rows) + 1;
	struct llm_message *messages =
	    arena_alloc(req->arena, count * sizeof(*messages));

	if (messages == NULL)
		return ERR_MEMORY;
	for (size_t row = 0; row < rows_count(rows); row++) {
		messages[2 * row] =
		    (struct llm_message){ "user", rows_text(rows, row, 0) };
		messages[2 * row + 1] = (struct llm_message){ "assistant",
			rows_text(rows, row, 1) };
	}
	messages[count - 1] = (struct llm_message){ "user", prompt };
	return context_request(req, call, messages, count);
}

static enum err
set_request(struct http_request *req, const struct ask *ask, struct call *call,
    const char *model)
{
	const struct llm_message only = { "user", ask->prompt };
	const char *args[4] = { req->who.user_text, ask->session, model };
	struct db_rows *rows = NULL;
	enum err err;

	if (!ask->continued)
		return context_request(req, call, &only, 1);
	args[3] = context_bytes(req, call->target);
	if (args[3] == NULL)
		return ERR_MEMORY;
	err = db_query(req->db, DB_PLAYGROUND_CONTEXT, args, &rows);
	if (err == OK)
		err = request_of_rows(req, call, rows, ask->prompt);
	rows_free(rows);
	return err;
}

/* NULL: the client was answered. */
static struct call *
make_call(struct http_request *req, struct ask *ask, const char *model)
{
	void *turn = run_turn(req, ask->run, model);
	const struct catalog_target *target;
	struct snapshot *snapshot;
	struct call *call;

	target = llm_target_or_reply(req, model, &snapshot);
	if (target == NULL)
		return NULL;
	call = llm_call_new(req, &run_sink, turn, target, snapshot);
	if (call == NULL || turn == NULL) {
		if (call != NULL)
			snapshot_release(call->snapshot);
		(void)problem_of(req, ERR_MEMORY);
		return NULL;
	}
	call->kind = "playground";
	call->session_id = ask->session;
	call->stream = true;
	call->request_text = ask->prompt;
	return call;
}

static void
drop_calls(struct ask *ask)
{
	for (struct call *call = ask->calls; call != NULL; call = call->next)
		snapshot_release(call->snapshot);
	ask->calls = NULL;
}

/* False: the client was answered; ask->calls are those that were made. */
static bool
make_calls(struct http_request *req, struct ask *ask)
{
	struct call **end = &ask->calls;
	enum err err;

	ask->run = run_new(req, ask->session, ask->count);
	if (ask->run == NULL) {
		(void)problem_of(req, ERR_MEMORY);
		return false;
	}
	for (size_t i = 0; i < ask->count; i++) {
		*end = make_call(req, ask, ask->models[i]);
		if (*end == NULL)
			return false;
		err = set_request(req, ask, *end, ask->models[i]);
		if (err != OK) {
			(void)refuse(req, err);
			return false;
		}
		end = &(*end)->next;
	}
	return true;
}

static enum err
list_turns(struct http_request *req, struct ask *ask)
{
	const struct call *call = ask->calls;
	struct buf text;
	struct jsonw w;

	buf_init(&text, TURNS_MAX);
	jsonw_init(&w, &text);
	jsonw_array(&w);
	for (size_t i = 0; i < ask->count; i++, call = call->next) {
		jsonw_object(&w);
		jsonw_kv(&w, "id", call->id_text);
		jsonw_kv(&w, "model", ask->models[i]);
		jsonw_end_object(&w);
	}
	jsonw_end_array(&w);
	if (buf_ok(&text))
		ask->turns = arena_strndup(req->arena, text.data, text.len);
	buf_fini(&text);
	return ask->turns == NULL ? ERR_MEMORY : OK;
}

/* What is not there now would be refused after it was counted. */
static bool
has_room(const struct app *app, size_t count)
{
	struct relay_stats stats;

	relay_stats(app->relay, &stats);
	return journal_accepts(app->journal) &&
	       stats.open + count <= (uint64_t)app->config->streams_max;
}

/* False: the client was answered. */
static bool
prepare(struct http_request *req, struct ask *ask)
{
	struct problem_fields *bad = problem_fields(req);
	enum err err;

	read_prompt(req, bad, ask);
	err = read_models(req, bad, ask);
	if (problem_fields_any(bad)) {
		(void)problem_fields_reply(bad);
		return false;
	}
	if (err == OK)
		err = find_session(req, ask);
	if (err == OK && !has_room(req->app, ask->count))
		err = ERR_BUSY;
	if (err == OK)
		err = db_connect(req->db);
	if (err != OK) {
		(void)refuse(req, err);
		return false;
	}
	return make_calls(req, ask);
}

/* The session and its new turns, before any provider hears of them. */
static enum err
store(struct http_request *req, struct ask *ask)
{
	enum db_stmt stmt =
	    ask->continued ? DB_PLAYGROUND_RESUME : DB_PLAYGROUND_CREATE;
	const char *args[4] = { req->who.user_text, ask->session, ask->prompt };
	struct db_rows *rows = NULL;
	enum err err = list_turns(req, ask);

	if (err != OK)
		return err;
	args[3] = ask->turns;
	err = db_query(req->db, stmt, args, &rows);
	if (err == OK && rows_count(rows) == 0)
		err = ERR_MISSING;
	rows_free(rows);
	return err;
}

static enum handled
start(struct http_request *req, struct ask *ask, struct limit_state *taken)
{
	struct run_opener *opener =
	    run_opener_new(req->app->relay, ask->run, ask->calls);
	const char *args[3] = { req->who.user_text, ask->session, ask->turns };

	if (llm_start_or_reply(req, ask->calls) == PARKED) {
		run_opener_post(opener);
		return PARKED;
	}
	run_opener_free(opener);
	give(req, ask->count, taken);
	if (db_query(req->db, DB_PLAYGROUND_FAIL, args, NULL) != OK)
		(void)request_fail(req, ERR_BUSY, "playground: %s",
		    db_fault(req->db)->sqlstate);
	return ANSWERED;
}

static enum handled
answer_head(struct http_request *req)
{
	const char *models = request_query(req, "models");
	size_t count = models == NULL ? 1 : count_items(models);
	struct limit_state state;
	enum err err = look(req, &state);

	if (err != OK && err != ERR_LIMIT)
		return problem_of(req, err);
	admit_headers(req, &state);
	if (state.remaining < (int64_t)(count <= MODELS_MAX ? count : 1))
		return reply_limited(req, &state);
	return response_type(req, 200, "text/event-stream");
}

enum handled
playground_stream(struct http_request *req)
{
	struct limit_state state = { .limit = 0 };
	struct ask ask = { .count = 0 };
	enum err err;

	if (req->head)
		return answer_head(req);
	if (!prepare(req, &ask)) {
		drop_calls(&ask);
		tell_untouched(req);
		return ANSWERED;
	}
	err = take(req, ask.count, &state);
	if (err == OK) {
		err = store(req, &ask);
		if (err != OK)
			give(req, ask.count, &state);
	}
	if (state.limit > 0)
		admit_headers(req, &state);
	if (err == OK)
		return start(req, &ask, &state);
	drop_calls(&ask);
	return err == ERR_LIMIT ? reply_limited(req, &state) : refuse(req, err);
}
