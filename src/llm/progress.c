/*
 * progress.c - one call from the hand-over to the answer of its sink.
 *
 * A call ends in on_done(), in a sweep, or when its client leaves; its sink
 * hears of it when the record is durable.
 */
#include "llm/progress.h"

#include <string.h>

#include "base/clock.h"
#include "llm/echo.h"
#include "llm/price.h"
#include "llm/receive.h"
#include "llm/usage.h"

#define RUNNING_US (500 * 1000)  /* older calls are logged as running */
#define BEGIN_US   (2 * 1000000) /* a head without events is told then */
#define DONE_US    (1 * 1000000) /* the terminator came, the end did not */

static void on_done(void *arg, enum transfer_result result, const char *detail);

static const struct transfer_events events = { receive_head, receive_bytes,
	on_done };

static void
fini(void *arg)
{
	struct progress *progress = arg;

	transfer_free(progress->transfer);
	sse_parser_fini(&progress->parser);
}

static enum err
build(struct relay *relay, struct progress *progress, struct arena *arena)
{
	const struct call *call = progress->call;
	const struct catalog_provider *provider = call->target->provider;
	struct transfer_spec spec = {
		.connect_ms = relay->config->connect_ms,
		.stream = call->stream,
		.allow_local = provider->allow_local,
		.events = &events,
		.arg = progress,
	};
	enum err err;

	err = provider->kind->build(arena, call, &progress->request);
	if (err != OK)
		return err;
	spec.url = progress->request.url;
	spec.headers = progress->request.headers;
	spec.body = progress->request.body;
	spec.body_len = progress->request.body_len;
	return transfer_new(&spec, &progress->transfer);
}

static enum err
prepare(struct relay *relay, struct progress *progress, struct arena *arena)
{
	const struct call *call = progress->call;

	if (call->target->provider->kind->build == NULL)
		return echo_new(arena, call, &progress->echo);
	return build(relay, progress, arena);
}

/* The same with the request parsed.  That takes several times its size: so it
 * is in an arena of its own, which ends here. */
static enum err
prepare_parsed(struct relay *relay, struct progress *progress,
    struct arena *arena)
{
	struct call *call = progress->call;
	struct arena *parsed = arena_new();
	enum err err = ERR_MEMORY;

	if (parsed != NULL)
		err = call_request(call, parsed, &call->request);
	if (err == OK) {
		call->choices = call_choices(call->request);
		call->prompt_estimate = usage_of_prompt(call->request);
		err = prepare(relay, progress, arena);
	}
	call->request = NULL;
	arena_free(parsed);
	return err;
}

enum err
progress_new(struct relay *relay, struct call *call)
{
	struct arena *arena = outlet_request(call->outlet)->arena;
	struct progress *progress = arena_alloc(arena, sizeof(*progress));

	if (progress == NULL)
		return ERR_MEMORY;
	progress->relay = relay;
	progress->call = call;
	sse_parser_init(&progress->parser);
	if (arena_on_free(arena, fini, progress) != OK)
		return ERR_MEMORY;
	call->progress = progress;
	return prepare_parsed(relay, progress, arena);
}

static void
link_in(struct progress *progress)
{
	struct relay *relay = progress->relay;

	progress->prev = NULL;
	progress->next = relay->open;
	if (relay->open != NULL)
		relay->open->prev = progress;
	relay->open = progress;
}

static void
link_out(struct progress *progress)
{
	if (progress->prev != NULL)
		progress->prev->next = progress->next;
	else
		progress->relay->open = progress->next;
	if (progress->next != NULL)
		progress->next->prev = progress->prev;
}

static void
count_end(struct relay *relay, enum call_end end)
{
	if (end == CALL_COMPLETED)
		atomic_fetch_add(&relay->completed, 1);
	else if (end == CALL_CANCELLED)
		atomic_fetch_add(&relay->cancelled, 1);
	else
		atomic_fetch_add(&relay->failed, 1);
}

/* A provider that did not take the call does not bill it. */
static void
settle_usage(struct progress *progress)
{
	struct call *call = progress->call;

	if (call->upstream_status != 0 && !receive_accepted(call))
		progress->unbilled = true;
	if (progress->unbilled) {
		call->usage = (struct call_usage){ 0, 0, -1, -1, false };
		call->cost_pico = 0;
		return;
	}
	usage_estimate(call);
	call->cost_pico = price_cost(&call->target->price, &call->usage);
}

/* What it has cost, for who has to end it if we cannot. */
static void
note_usage(struct progress *progress)
{
	struct call_row row;

	if (progress->slot == NULL)
		return;
	call_fill_row(progress->call, &row);
	inflight_used(progress->slot, &row);
}

/* Not from inside libcurl. */
static void
finish(struct progress *progress, enum call_end end)
{
	struct call *call = progress->call;

	transfer_free(progress->transfer);
	progress->transfer = NULL;
	keeping_forget_start(progress);
	relay_echo_remove(progress);
	sse_parser_fini(&progress->parser);
	progress->phase = PHASE_OVER;
	call->end = end;
	call->ended_us = clock_mono_us();
	if (end == CALL_FAILED && call->error_code == NULL)
		call_fail(call, "internal_error", NULL);
	settle_usage(progress);
	note_usage(progress);
	if (call->ended != NULL)
		call->ended(call);
	count_end(progress->relay, end);
}

static void
over(struct progress *progress, enum call_end end)
{
	finish(progress, end);
	keeping_end(progress);
}

void
progress_fail(struct progress *progress, const char *code)
{
	if (progress->phase >= PHASE_OVER)
		return;
	if (progress->phase == PHASE_START)
		progress->unbilled = true;
	call_fail(progress->call, code, NULL);
	over(progress, CALL_FAILED);
}

void
progress_cancel(struct progress *progress, bool stalled)
{
	if (progress->phase >= PHASE_OVER)
		return;
	if (progress->phase == PHASE_START)
		progress->unbilled = true;
	call_fail(progress->call, stalled ? "client_stalled" : "client_left",
	    NULL);
	over(progress, CALL_CANCELLED);
}

void
progress_resume(struct progress *progress)
{
	if (!progress->paused || progress->transfer == NULL)
		return;
	progress->paused = false;
	progress->heard_us = clock_mono_us();
	transfer_resume(progress->transfer);
	/* What libcurl had kept was taken at once, and what was wrong with it
	 * ends no transfer: libcurl only says so to whoever resumed. */
	if (progress->call->error_code != NULL)
		on_done(progress, TRANSFER_STOPPED, "");
}

static void
fail(struct progress *progress, const char *code)
{
	call_fail(progress->call, code, NULL);
	over(progress, CALL_FAILED);
}

static void
end_events(struct progress *progress)
{
	if (!progress->done && !progress->finished) {
		fail(progress, "upstream_truncated");
		return;
	}
	receive_begin(progress);
	over(progress, CALL_COMPLETED);
}

static void
end_body(struct progress *progress)
{
	struct call *call = progress->call;
	enum err err = call->target->provider->kind->read_body(call);

	if (err == OK && call->stream)
		err = ERR_UPSTREAM; /* a whole answer where a stream was due */
	if (err != OK) {
		fail(progress,
		    err == ERR_MEMORY ? "out_of_memory" : "upstream_invalid");
		return;
	}
	receive_text(progress);
	over(progress, CALL_COMPLETED);
}

static void
end_broken(struct progress *progress, enum transfer_result result)
{
	static const char *const codes[TRANSFER_RESULT_COUNT] = {
		[TRANSFER_OK] = "upstream_invalid",
		[TRANSFER_UNREACHABLE] = "upstream_unreachable",
		[TRANSFER_TIMEOUT] = "upstream_timeout",
		[TRANSFER_TLS] = "upstream_tls",
		[TRANSFER_CUT] = "upstream_truncated",
		[TRANSFER_INVALID] = "upstream_invalid",
		[TRANSFER_STOPPED] = "internal_error",
		[TRANSFER_MEMORY] = "out_of_memory",
	};

	if (result == TRANSFER_UNREACHABLE || result == TRANSFER_TLS ||
	    (result == TRANSFER_TIMEOUT && progress->head_us == 0))
		progress->unbilled = true;
	fail(progress, codes[result]);
}

static void
on_done(void *arg, enum transfer_result result, const char *detail)
{
	struct progress *progress = arg;
	struct call *call = progress->call;

	if (progress->phase >= PHASE_OVER)
		return;
	if (result != TRANSFER_OK && result != TRANSFER_STOPPED)
		(void)request_fail(outlet_request(call->outlet), ERR_UPSTREAM,
		    "%s: %s", call->target->provider->name, detail);
	if (call->error_code != NULL) {
		over(progress, CALL_FAILED);
	} else if (progress->head_us != 0 && !receive_accepted(call)) {
		call->target->provider->kind->map_error(call);
		over(progress, CALL_FAILED);
	} else if (progress->events &&
		   (result == TRANSFER_OK || progress->done ||
		       progress->finished)) {
		end_events(progress);
	} else if (result == TRANSFER_OK && progress->head_us != 0) {
		end_body(progress);
	} else {
		end_broken(progress, result);
	}
}

void
progress_send(struct progress *progress)
{
	static const struct transfer_head head = { 200, "", 0 };
	struct relay *relay = progress->relay;

	note_usage(progress); /* from now on */
	if (progress->echo != NULL) {
		receive_head(progress, &head);
		relay_echo_add(progress);
	} else if (transfer_start(relay->transfers, progress->transfer) != OK) {
		progress_fail(progress, "out_of_memory");
	} else {
		progress->phase = PHASE_SENT;
	}
}

/* PostgreSQL may have taken the start and not been able to say so: the record
 * of the end goes on. */
void
progress_refuse(struct progress *progress)
{
	progress_fail(progress, "log_unavailable");
	keeping_orphan(progress);
}

/* The journal has nothing of it, and needs not: it ends as if it had not come. */
static void
turn_away(struct progress *progress)
{
	progress->unbilled = true;
	call_fail(progress->call, "log_unavailable", NULL);
	finish(progress, CALL_FAILED);
	if (progress->slot != NULL)
		inflight_leave(progress->relay->inflight, progress->slot);
	progress->slot = NULL;
	progress_settle(progress, DURABLE_NONE);
}

void
progress_start(struct progress *progress)
{
	struct relay *relay = progress->relay;
	struct call_row row;

	link_in(progress);
	atomic_fetch_add(&relay->started, 1);
	call_fill_row(progress->call, &row);
	row.prompt_tokens = row.completion_tokens = row.cost_pico = 0;
	if (relay->inflight != NULL) {
		progress->slot = inflight_enter(relay->inflight, &row);
		if (progress->slot == NULL) {
			progress_fail(progress, "busy");
			return;
		}
	}
	if (journal_is_sure(relay->journal))
		progress_send(progress);
	else if (!keeping_start(progress))
		turn_away(progress);
}

void
progress_echo(struct progress *progress)
{
	enum transfer_verdict verdict;
	struct buf bytes;
	bool more;

	if (progress->events && outlet_full(progress->call->outlet))
		return;
	buf_init(&bytes, CALL_BODY_MAX);
	more = echo_next(progress->echo, &bytes);
	if (!buf_ok(&bytes))
		call_fail(progress->call, "upstream_too_large", NULL);
	verdict = receive_bytes(progress, buf_str(&bytes), bytes.len);
	buf_fini(&bytes);
	if (verdict == TRANSFER_STOP || progress->call->error_code != NULL)
		on_done(progress, TRANSFER_STOPPED, "");
	else if (!more)
		on_done(progress, TRANSFER_OK, "");
}

/* The deadline that has passed; false when none. */
static bool
is_late(const struct progress *progress, int64_t now_us)
{
	const struct config *config = progress->relay->config;

	if (now_us - progress->call->started_us > config->total_ms * 1000)
		return true;
	if (progress->echo != NULL || progress->paused)
		return false;
	if (progress->phase == PHASE_BODY)
		return now_us - progress->heard_us > config->idle_ms * 1000;
	return now_us - progress->call->started_us >
	       config->first_byte_ms * 1000;
}

/* A stream that said all, except that it is over, is complete. */
static void
end_late(struct progress *progress)
{
	if (progress->events && progress->finished)
		end_events(progress);
	else
		progress_fail(progress, "upstream_timeout");
}

static void
sweep_open(struct progress *progress, int64_t now_us)
{
	if (!progress->running_logged &&
	    now_us - progress->call->started_us > RUNNING_US)
		keeping_running(progress);
	if (progress->events && !progress->begun &&
	    now_us - progress->head_us > BEGIN_US)
		receive_begin(progress);
	if (progress->done && now_us - progress->heard_us > DONE_US)
		end_events(progress);
	else if (is_late(progress, now_us))
		end_late(progress);
}

void
progress_sweep(struct progress *progress, int64_t now_us)
{
	if (progress->phase < PHASE_OVER)
		sweep_open(progress, now_us);
	else
		keeping_wait(progress, now_us);
}

/* What the request's log line says of its calls. */
static void
note(const struct call *call)
{
	struct http_request *req = outlet_request(call->outlet);

	if (req->log_call[0] == '\0') {
		memcpy(req->log_call, call->id_text, sizeof(req->log_call));
		req->log_model = call->target->model;
	}
	if (call->usage.prompt > 0)
		req->log_tokens += call->usage.prompt;
	if (call->usage.completion > 0)
		req->log_tokens += call->usage.completion;
	if (call->end == CALL_FAILED)
		(void)request_fail(req, call->error, "model call: %s",
		    call->error_code);
}

void
progress_settle(struct progress *progress, enum durable how)
{
	struct call *call = progress->call;

	link_out(progress);
	progress->phase = PHASE_SETTLED;
	call->durable = how;
	if (how == DURABLE_NONE && call->end == CALL_COMPLETED) {
		call->end = CALL_FAILED;
		call_fail(call, "log_unavailable", NULL);
		outlet_request(call->outlet)->in_doubt = true;
	}
	note(call);
	call->outlet->calls_open--;
	atomic_fetch_sub(&progress->relay->places, 1);
	if (call->settle != NULL)
		call->settle(call);
	call->sink->end(call);
	relay_leave(progress->relay);
}
