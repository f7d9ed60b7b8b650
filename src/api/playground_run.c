/*
 * playground_run.c - what the client of several calls is sent, and what is
 * stored of each when it is over.
 */
#include "api/playground_run.h"

#include <inttypes.h>
#include <stdlib.h>

#include "api/after.h"
#include "api/app.h"
#include "api/event_line.h"
#include "api/playground.h"
#include "base/clock.h"
#include "llm/outlet.h"

struct run {
	const char *session;
	size_t open; /* models whose end was not told yet */
	bool begun;
	struct run_opener *opener; /* NULL once it has run */
};

struct turn {
	struct run *run;
	const char *model;
	bool streaming; /* the client was told */
};

/* On the heap, because the run may be over before its turn comes. */
struct run_opener {
	struct relay_task task;
	struct relay *relay;
	struct run *run; /* NULL once the run is over */
	struct outlet **outlet;
};

struct run *
run_new(struct http_request *req, const char *session, size_t models)
{
	struct run *run = arena_alloc(req->arena, sizeof(*run));

	if (run == NULL)
		return NULL;
	run->session = session;
	run->open = models;
	return run;
}

void *
run_turn(struct http_request *req, struct run *run, const char *model)
{
	struct turn *turn = arena_alloc(req->arena, sizeof(*turn));

	if (turn == NULL)
		return NULL;
	turn->run = run;
	turn->model = model;
	return turn;
}

static enum err
open_stream(struct run *run, struct outlet *outlet)
{
	struct event_line line;

	if (run->begun)
		return OK;
	run->begun = true;
	outlet_begin(outlet, 200, "text/event-stream");
	event_line_open(&line, "session");
	jsonw_kv(&line.json, "sessionId", run->session);
	return event_line_send(&line, outlet);
}

static void
open_now(void *arg)
{
	struct run_opener *opener = arg;

	if (opener->run != NULL && (*opener->outlet)->owner == NULL) {
		/* it arrives before the next round */
		relay_post(opener->relay, &opener->task);
		return;
	}
	if (opener->run != NULL) {
		opener->run->opener = NULL;
		if (open_stream(opener->run, *opener->outlet) != OK)
			outlet_cut(*opener->outlet, false);
	}
	free(opener);
}

struct run_opener *
run_opener_new(struct relay *relay, struct run *run, struct call *calls)
{
	struct run_opener *opener = calloc(1, sizeof(*opener));

	if (opener == NULL)
		return NULL;
	opener->relay = relay;
	opener->run = run;
	opener->outlet = &calls->outlet;
	opener->task.run = open_now;
	opener->task.arg = opener;
	run->opener = opener;
	return opener;
}

void
run_opener_post(struct run_opener *opener)
{
	if (opener != NULL)
		relay_post(opener->relay, &opener->task);
}

void
run_opener_free(struct run_opener *opener)
{
	if (opener != NULL)
		opener->run->opener = NULL;
	free(opener);
}

static void
line_open(struct event_line *line, const char *type, const struct turn *turn)
{
	event_line_open(line, type);
	jsonw_kv(&line->json, "model", turn->model);
}

static enum err
tell_status(const struct turn *turn, struct outlet *outlet, const char *status,
    const char *message)
{
	struct event_line line;

	line_open(&line, "status", turn);
	jsonw_kv(&line.json, "status", status);
	if (message != NULL)
		jsonw_kv(&line.json, "message", message);
	return event_line_send(&line, outlet);
}

static void
begin(struct call *call)
{
	struct turn *turn = call->sink_data;
	enum err err;

	if (turn->streaming)
		return;
	turn->streaming = true;
	err = open_stream(turn->run, call->outlet);
	if (err == OK)
		err = tell_status(turn, call->outlet, "streaming", NULL);
	if (err != OK)
		call_fail(call, "out_of_memory", NULL);
}

static void
event(struct call *call, const struct call_event *event)
{
	const struct turn *turn = call->sink_data;
	struct event_line line;

	if (event->text_len == 0)
		return;
	begin(call);
	line_open(&line, "chunk", turn);
	jsonw_key(&line.json, "content");
	jsonw_string_len(&line.json, event->text, event->text_len);
	jsonw_kv_int(&line.json, "timestamp", clock_wall_us() / 1000);
	if (event_line_send(&line, call->outlet) != OK)
		call_fail(call, "out_of_memory", NULL);
}

/* -1 unless both are known. */
static int64_t
tokens_of(const struct call_usage *usage)
{
	if (usage->prompt < 0 || usage->completion < 0)
		return -1;
	return usage->prompt + usage->completion;
}

static int64_t
milliseconds(const struct call *call)
{
	return (call->ended_us - call->started_us) / 1000;
}

/* Null for what is not known, which is -1.  False: no memory. */
static bool
number(struct arena *arena, int64_t value, const char **out)
{
	*out = value < 0 ? NULL : arena_printf(arena, "%" PRId64, value);
	return value < 0 || *out != NULL;
}

static enum err
finish(struct call *call, struct db *db, struct arena *arena)
{
	const struct http_request *req = outlet_request(call->outlet);
	int64_t patience = playground_patience_ms(req->app->config);
	const char *args[10] = {
		req->who.user_text,
		call->session_id,
		call->id_text,
		call->end == CALL_COMPLETED ? "COMPLETED" : "ERROR",
		buf_str(&call->text),
	};
	struct db_rows *rows = NULL;
	enum err err;

	if (!number(arena, call->usage.prompt, &args[5]) ||
	    !number(arena, call->usage.completion, &args[6]) ||
	    !number(arena, call->cost_pico, &args[7]) ||
	    !number(arena, milliseconds(call), &args[8]) ||
	    !number(arena, patience, &args[9]))
		return ERR_MEMORY;
	err = db_query(db, DB_PLAYGROUND_LOCK, args, &rows);
	if (err == OK && rows_count(rows) == 0)
		err = ERR_MISSING;
	rows_free(rows);
	/* A statement of its own: it sees what those before us committed. */
	if (err == OK)
		err = db_query(db, DB_PLAYGROUND_FINISH, args, NULL);
	return err;
}

/* A session that was deleted meanwhile has nothing to be stored. */
static enum err
store(struct call *call, struct db *db)
{
	struct arena *arena = arena_new();
	enum err err = ERR_MEMORY;

	if (arena != NULL)
		err = db_begin(db);
	if (err == OK)
		err = finish(call, db, arena);
	if (err == OK)
		err = db_commit(db);
	if (err != OK && arena != NULL)
		db_rollback(db);
	arena_free(arena);
	return err == ERR_MISSING ? OK : err;
}

static enum err
tell_metrics(const struct call *call)
{
	int64_t tokens = tokens_of(&call->usage);
	struct event_line line;

	line_open(&line, "metrics", call->sink_data);
	jsonw_key(&line.json, "tokensUsed");
	if (tokens < 0)
		jsonw_null(&line.json);
	else
		jsonw_int(&line.json, tokens);
	jsonw_key(&line.json, "cost");
	jsonw_usd(&line.json, call->cost_pico);
	jsonw_kv_int(&line.json, "responseTime", milliseconds(call));
	return event_line_send(&line, call->outlet);
}

static enum err
tell_end(const struct call *call)
{
	const struct turn *turn = call->sink_data;
	enum err err = open_stream(turn->run, call->outlet);

	if (err == OK && call->end != CALL_COMPLETED)
		return tell_status(turn, call->outlet, "error",
		    call->error_detail);
	if (err == OK)
		err = tell_metrics(call);
	if (err == OK)
		err = tell_status(turn, call->outlet, "complete", NULL);
	return err;
}

static void
then(struct call *call, enum err err)
{
	struct run *run = ((struct turn *)call->sink_data)->run;

	if (err != OK && call->end == CALL_COMPLETED)
		after_fail(call, err);
	if (tell_end(call) != OK)
		outlet_cut(call->outlet, false);
	if (--run->open > 0)
		return;
	if (run->opener != NULL)
		run->opener->run = NULL;
	outlet_finish(call->outlet);
}

static void
end(struct call *call)
{
	static const struct after_steps steps = { store, then };

	after_call(outlet_request(call->outlet)->app->after, call, &steps);
}

const struct call_sink run_sink = { begin, event, end };
