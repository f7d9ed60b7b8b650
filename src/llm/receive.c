/*
 * receive.c - what a provider sends: head, events, body.
 *
 * All of it runs inside libcurl (or for echo): it notes what happened, by
 * call_fail() too, and never ends a call.
 */
#include "llm/receive.h"

#include <string.h>

#include "base/clock.h"
#include "base/codec.h"

#define ERROR_BODY_MAX ((size_t)64 * 1024) /* kept of an error's body */

bool
receive_accepted(const struct call *call)
{
	return call->upstream_status >= 200 && call->upstream_status < 300;
}

void
receive_begin(struct progress *progress)
{
	struct call *call = progress->call;

	if (progress->begun)
		return;
	progress->begun = true;
	if (call->sink->begin != NULL)
		call->sink->begin(call);
}

static bool
is_json(const char *content_type)
{
	return strncmp(content_type, "application/json", 16) == 0;
}

void
receive_head(void *arg, const struct transfer_head *head)
{
	struct progress *progress = arg;
	struct call *call = progress->call;

	progress->phase = PHASE_BODY;
	progress->head_us = clock_mono_us();
	progress->heard_us = progress->head_us;
	call->upstream_status = head->status;
	call->retry_after =
	    (int)(head->retry_after_s > INT32_MAX ? INT32_MAX
						  : head->retry_after_s);
	progress->events = call->stream && receive_accepted(call) &&
			   !is_json(head->content_type);
}

static void
mark_truncated(struct progress *progress)
{
	struct call *call = progress->call;
	struct arena *arena = outlet_request(call->outlet)->arena;
	const char *rest = call->metadata;
	const char *marked;

	progress->truncated = true;
	if (rest == NULL || *rest != '{')
		rest = "{}";
	rest += 1 + strspn(rest + 1, " \t\r\n");
	marked = arena_printf(arena, "{\"response_truncated\":true%s%s",
	    *rest == '}' ? "" : ",", rest);
	if (marked != NULL)
		call->metadata = marked;
}

/* What is given to the client is known to whoever has to end the call if this
 * worker dies: so it is noted first. */
static void
note_text(struct progress *progress, size_t old)
{
	const struct buf *text = &progress->call->text;

	if (progress->slot == NULL)
		return;
	inflight_generated(progress->slot, progress->call->generated);
	if (text->len > old)
		inflight_text(progress->slot, text->data + old,
		    text->len - old);
}

static void
cut_text(struct progress *progress, size_t old)
{
	struct buf *text = &progress->call->text;

	if (text->len > CALL_TEXT_MAX && !progress->truncated) {
		mark_truncated(progress);
		text->len = old + codec_utf8_valid(text->data + old,
				      CALL_TEXT_MAX - old);
		text->data[text->len] = '\0';
	} else if (text->len > old && progress->truncated) {
		text->len = old;
		text->data[old] = '\0';
	}
}

void
receive_text(struct progress *progress)
{
	note_text(progress, 0);
	cut_text(progress, 0);
}

static enum err
on_event(void *arg, const struct sse_event *sse)
{
	struct progress *progress = arg;
	struct call *call = progress->call;
	size_t old = call->text.len;
	struct call_event event = {
		.raw = sse->raw,
		.raw_len = sse->raw_len,
		.data = sse->data,
		.data_len = sse->data_len,
	};
	enum err err;

	if (progress->done)
		return OK; /* nothing counts after the terminator */
	err = call->target->provider->kind->read_event(call, &event);
	if (err != OK) {
		call_fail(call,
		    err == ERR_MEMORY ? "out_of_memory" : "upstream_invalid",
		    NULL);
		return err;
	}
	progress->done = event.done;
	progress->finished = progress->finished || event.finished;
	if ((event.text_len > 0 || event.tool) && call->first_token_us == 0)
		call->first_token_us = clock_mono_us();
	note_text(progress, old);
	receive_begin(progress);
	if (call->sink->event != NULL)
		call->sink->event(call, &event); /* has all of the text */
	cut_text(progress, old);
	return OK;
}

static enum err
take_events(struct progress *progress, const char *data, size_t len)
{
	enum err err =
	    sse_parser_feed(&progress->parser, data, len, on_event, progress);

	if (err == ERR_TOO_LARGE)
		call_fail(progress->call, "upstream_too_large", NULL);
	else if (err == ERR_MEMORY)
		call_fail(progress->call, "out_of_memory", NULL);
	return err;
}

static enum err
take_body(struct progress *progress, const char *data, size_t len)
{
	struct call *call = progress->call;

	if (!receive_accepted(call)) {
		if (call->body.len + len <= ERROR_BODY_MAX)
			buf_add(&call->body, data, len);
		return OK;
	}
	if (call->first_token_us == 0)
		call->first_token_us = progress->heard_us;
	if (len > call->body.max - call->body.len) {
		call_fail(call, "upstream_too_large", NULL);
		return ERR_TOO_LARGE;
	}
	buf_add(&call->body, data, len);
	if (buf_ok(&call->body))
		return OK;
	call_fail(call, "out_of_memory", NULL);
	return ERR_MEMORY;
}

enum transfer_verdict
receive_bytes(void *arg, const char *data, size_t len)
{
	struct progress *progress = arg;
	enum err err;

	if (progress->events && outlet_full(progress->call->outlet)) {
		progress->paused = true;
		return TRANSFER_PAUSE;
	}
	progress->heard_us = clock_mono_us();
	if (progress->events)
		err = take_events(progress, data, len);
	else
		err = take_body(progress, data, len);
	return err == OK ? TRANSFER_TAKEN : TRANSFER_STOP;
}
