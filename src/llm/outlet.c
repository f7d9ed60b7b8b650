/*
 * outlet.c - the client of a call: a queue that never blocks the relay.
 *
 * Sinks only queue.  Everything that can find the client gone happens in
 * outlets_flush() and outlets_sweep(), outside of libcurl's callbacks, because
 * the answer to that is to end transfers.
 */
#include "llm/outlet.h"

#include <string.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "http/problem.h"
#include "http/response.h"

#define HEARTBEAT ":\n\n"

static void
fini(void *arg)
{
	struct outlet *outlet = arg;

	buf_fini(&outlet->queue);
}

struct outlet *
outlet_new(struct http_request *req)
{
	struct outlet *outlet = arena_alloc(req->arena, sizeof(*outlet));

	if (outlet == NULL)
		return NULL;
	outlet->req = req;
	buf_init(&outlet->queue, OUTLET_QUEUE_MAX);
	if (arena_on_free(req->arena, fini, outlet) != OK)
		return NULL;
	return outlet;
}

struct http_request *
outlet_request(struct outlet *outlet)
{
	return outlet->req;
}

bool
outlet_begun(const struct outlet *outlet)
{
	return outlet->begun;
}

bool
outlet_full(struct outlet *outlet)
{
	if (outlet->queue.len < OUTLET_PAUSE)
		return false;
	outlet->paused = true;
	return true;
}

static void
mark(struct outlet *outlet)
{
	if (outlet->dirty || outlet->owner == NULL)
		return;
	outlet->dirty = true;
	outlet->dirty_next = outlet->owner->dirty;
	outlet->owner->dirty = outlet;
}

void
outlet_begin(struct outlet *outlet, int status, const char *content_type)
{
	if (outlet->begun)
		return;
	outlet->begun = true;
	outlet->status = status;
	outlet->content_type = content_type;
	outlet->events = strncmp(content_type, "text/event-stream", 17) == 0;
	outlet->wrote_us = clock_mono_us();
	mark(outlet);
}

void
outlet_write(struct outlet *outlet, const void *data, size_t len)
{
	if (outlet->gone || len == 0)
		return;
	if (outlet->queue.len == 0)
		outlet->wrote_us = clock_mono_us();
	buf_add(&outlet->queue, data, len);
	mark(outlet);
}

void
outlet_finish(struct outlet *outlet)
{
	if (!outlet->finishing)
		outlet->ended_us = clock_mono_us();
	outlet->finishing = true;
	mark(outlet);
}

/* Most answers come before it would be of use to know that the client left. */
static void
watch_later(struct outlets *outlets, struct outlet *outlet)
{
	outlet->watch_due_us = clock_mono_us() + OUTLET_WATCH_US;
	outlet->unwatched_next = NULL;
	outlet->unwatched_prev = outlets->unwatched_last;
	if (outlets->unwatched_last != NULL)
		outlets->unwatched_last->unwatched_next = outlet;
	else
		outlets->unwatched = outlet;
	outlets->unwatched_last = outlet;
}

static void
watch_no_more(struct outlet *outlet)
{
	struct outlets *owner = outlet->owner;

	if (outlet->watch_due_us == 0)
		return;
	outlet->watch_due_us = 0;
	if (outlet->unwatched_prev != NULL)
		outlet->unwatched_prev->unwatched_next = outlet->unwatched_next;
	else
		owner->unwatched = outlet->unwatched_next;
	if (outlet->unwatched_next != NULL)
		outlet->unwatched_next->unwatched_prev = outlet->unwatched_prev;
	else
		owner->unwatched_last = outlet->unwatched_prev;
}

static void
unwatch(struct outlet *outlet)
{
	watch_no_more(outlet);
	loop_remove(outlet->owner->loop, outlet->watch);
	outlet->watch = NULL;
}

static void
drop(struct outlet *outlet, bool stalled)
{
	struct outlets *owner = outlet->owner;

	if (outlet->gone)
		return;
	outlet->gone = true;
	outlet->req->gone = true;
	outlet->waits = false;
	unwatch(outlet);
	buf_fini(&outlet->queue);
	owner->left(owner->arg, outlet, stalled);
}

void
outlet_cut(struct outlet *outlet, bool stalled)
{
	drop(outlet, stalled);
	mark(outlet);
}

static void
on_client(void *arg, int fd, uint32_t events)
{
	struct outlet *outlet = arg;

	(void)fd;
	if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
		outlet_cut(outlet, false);
		return;
	}
	outlet->polled = true;
	loop_change(outlet->owner->loop, outlet->watch, EPOLLRDHUP);
	mark(outlet);
}

void
outlet_attach(struct outlets *outlets, struct outlet *outlet)
{
	outlet->owner = outlets;
	outlet->prev = NULL;
	outlet->next = outlets->all;
	if (outlets->all != NULL)
		outlets->all->prev = outlet;
	outlets->all = outlet;
	outlet->wrote_us = clock_mono_us();
	if (outlet->req->transport->fd(outlet->req) >= 0)
		watch_later(outlets, outlet);
}

static void
watch_now(struct outlet *outlet)
{
	struct http_request *req = outlet->req;

	watch_no_more(outlet);
	outlet->watch = loop_add(outlet->owner->loop, req->transport->fd(req),
	    EPOLLRDHUP, on_client, outlet);
}

int64_t
outlets_due(const struct outlets *outlets)
{
	return outlets->unwatched == NULL ? INT64_MAX
					  : outlets->unwatched->watch_due_us;
}

void
outlets_watch(struct outlets *outlets)
{
	while (outlets->unwatched != NULL &&
	       outlets->unwatched->watch_due_us <= clock_mono_us())
		watch_now(outlets->unwatched);
}

/* EPOLLOUT may come although less than a whole write fits: then it would come
 * again at once, so that the sweep has to try. */
static void
wait_for_room(struct outlet *outlet)
{
	outlet->waits = true;
	if (outlet->watch_due_us != 0)
		watch_now(outlet);
	if (outlet->watch != NULL && !outlet->polled)
		loop_change(outlet->owner->loop, outlet->watch,
		    EPOLLRDHUP | EPOLLOUT);
}

/* The head and the first bytes at once: both fit when writable said so. */
static enum err
write_some(struct outlet *outlet, size_t *sent)
{
	size_t left = outlet->queue.len - *sent;
	enum err err = OK;

	if (!outlet->headed)
		err = stream_begin(outlet->req, outlet->status,
		    outlet->content_type);
	outlet->headed = true;
	if (left > OUTLET_WRITE_MAX)
		left = OUTLET_WRITE_MAX;
	if (err == OK && left > 0)
		err =
		    stream_write(outlet->req, outlet->queue.data + *sent, left);
	*sent += left;
	outlet->wrote_us = clock_mono_us();
	outlet->polled = false;
	return err;
}

static void
forget_sent(struct outlet *outlet, size_t sent)
{
	if (sent < outlet->queue.len)
		buf_drop_front(&outlet->queue, sent);
	else if (outlet->queue.cap > OUTLET_WRITE_MAX)
		buf_fini(&outlet->queue);
	else
		buf_reset(&outlet->queue);
}

/* A client that was sent nothing yet is still there if it was only memory that
 * was short: then it gets an answer that says so. */
static void
give_up(struct outlet *outlet, enum err err)
{
	drop(outlet, false);
	if (err != ERR_MEMORY || outlet->req->streaming)
		return;
	outlet->req->gone = false;
	(void)problem_of(outlet->req, err);
}

static void
write_waiting(struct outlet *outlet)
{
	size_t sent = 0;
	enum err err;

	outlet->waits = false;
	while (!outlet->headed || sent < outlet->queue.len) {
		if (!stream_writable(outlet->req)) {
			wait_for_room(outlet);
			break;
		}
		err = write_some(outlet, &sent);
		if (err != OK) {
			give_up(outlet, err);
			return;
		}
	}
	forget_sent(outlet, sent);
}

/* A whole answer that might not fit at once goes out as a stream does: the
 * relay must not wait for its reader. */
static void
stream_whole(struct outlet *outlet)
{
	struct http_request *req = outlet->req;

	if (outlet->begun || outlet->gone || req->out.len == 0 ||
	    !buf_ok(&req->out))
		return;
	if (req->out.len <= OUTLET_WRITE_MAX && stream_writable(req))
		return;
	buf_fini(&outlet->queue);
	outlet->queue = req->out;
	buf_init(&req->out, outlet->queue.max);
	outlet_begin(outlet, req->status, req->out_type);
}

static void
finish(struct outlet *outlet)
{
	struct outlets *owner = outlet->owner;

	unwatch(outlet);
	if (outlet->prev != NULL)
		outlet->prev->next = outlet->next;
	else
		owner->all = outlet->next;
	if (outlet->next != NULL)
		outlet->next->prev = outlet->prev;
	request_finish(outlet->req);
	owner->over(owner->arg);
}

static void
make_room(struct outlet *outlet)
{
	struct outlets *owner = outlet->owner;

	if (!outlet->paused || outlet->queue.len > OUTLET_RESUME)
		return;
	outlet->paused = false;
	owner->room(owner->arg, outlet);
}

static void
flush(struct outlet *outlet)
{
	if (!outlet->gone && !buf_ok(&outlet->queue)) {
		(void)request_fail(outlet->req, ERR_MEMORY,
		    "the client's queue is full");
		give_up(outlet, ERR_MEMORY);
	}
	if (outlet->finishing && outlet->calls_open == 0)
		stream_whole(outlet);
	if (!outlet->gone && outlet->begun)
		write_waiting(outlet);
	make_room(outlet);
	if (outlet->finishing && outlet->calls_open == 0 && !outlet->waits &&
	    !outlet->dirty)
		finish(outlet);
}

void
outlets_flush(struct outlets *outlets)
{
	struct outlet *outlet;

	while (outlets->dirty != NULL) {
		outlet = outlets->dirty;
		outlets->dirty = outlet->dirty_next;
		outlet->dirty = false;
		flush(outlet);
	}
}

static bool
is_too_slow(const struct outlet *outlet, int64_t now_us)
{
	int64_t stall_us = outlet->owner->stall_us;

	if (now_us - outlet->wrote_us > stall_us)
		return true;
	return outlet->finishing &&
	       (now_us - outlet->ended_us) / OUTLET_LINGER > stall_us;
}

static void
look_after(struct outlet *outlet, int64_t now_us)
{
	if (outlet->gone)
		return;
	if (outlet->waits) {
		if (is_too_slow(outlet, now_us))
			outlet_cut(outlet, true);
		else
			mark(outlet);
	} else if (outlet->events && !outlet->finishing &&
		   now_us - outlet->wrote_us > OUTLET_HEARTBEAT_US) {
		outlet_write(outlet, HEARTBEAT, sizeof(HEARTBEAT) - 1);
	}
}

void
outlets_sweep(struct outlets *outlets, int64_t now_us)
{
	for (struct outlet *outlet = outlets->all; outlet != NULL;
	     outlet = outlet->next)
		look_after(outlet, now_us);
	outlets_flush(outlets);
}
