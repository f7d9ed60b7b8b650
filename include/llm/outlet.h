/*
 * outlet.h - the relay's side of a client: what is queued for it, and the
 * watch on its descriptor.
 *
 * Bytes are queued by sinks and written by outlets_flush(), outside of any
 * callback of libcurl, and only when the client can take them.
 */
#ifndef LLM_OUTLET_H
#define LLM_OUTLET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "llm/call.h"
#include "llm/loop.h"

/* Waiting bytes at which transfers pause, and at which they go on. */
#define OUTLET_PAUSE  (256 * 1024)
#define OUTLET_RESUME (OUTLET_PAUSE / 2)
/* One event more than that may come before the pause is felt. */
#define OUTLET_QUEUE_MAX (OUTLET_PAUSE + 4 * 1024 * 1024)
/* Bytes written after each question whether the client can take them. */
#define OUTLET_WRITE_MAX (60 * 1024)
/* CLIENT_STALL_TIMEOUTs that a reader may take for what is left at the end. */
#define OUTLET_LINGER 10
/* Silence after which an event stream gets a comment line. */
#define OUTLET_HEARTBEAT_US (15 * 1000000)

/* A client that has not got its answer by then is watched for its leaving. */
#define OUTLET_WATCH_US (10 * 1000)

/* Every outlet that a relay has; its thread's own. */
struct outlets {
	struct loop *loop;
	struct outlet *all;
	struct outlet *unwatched, *unwatched_last; /* oldest first */
	struct outlet *dirty; /* something is to be written or finished */
	int64_t stall_us;     /* CLIENT_STALL_TIMEOUT */
	/* The client left, or was cut (stalled); called once. */
	void (*left)(void *arg, struct outlet *outlet, bool stalled);
	/* The queue has room again. */
	void (*room)(void *arg, struct outlet *outlet);
	/* The outlet is gone after this. */
	void (*over)(void *arg);
	void *arg;
};

struct outlet {
	struct http_request *req;
	struct outlets *owner;      /* NULL until the relay has it */
	struct outlet *prev, *next; /* in owner->all */
	struct outlet *dirty_next;
	struct outlet *inbox_next;
	struct outlet *unwatched_prev, *unwatched_next;
	int64_t watch_due_us; /* 0: not in owner->unwatched */
	struct call *calls;
	size_t calls_open;   /* calls whose end() was not called yet */
	struct watch *watch; /* of the client's descriptor; may be NULL */
	struct buf queue;
	int status; /* of the streamed answer */
	const char *content_type;
	int64_t wrote_us; /* last progress of the client */
	int64_t ended_us; /* outlet_finish() was called */
	bool dirty;
	bool begun;     /* outlet_begin() was called */
	bool headed;    /* ... and the head is written */
	bool events;    /* an SSE stream: heartbeats are legal */
	bool waits;     /* bytes wait for EPOLLOUT or the next sweep */
	bool polled;    /* EPOLLOUT came and still nothing fits */
	bool paused;    /* its transfers were told to pause */
	bool finishing; /* outlet_finish() was called */
	bool gone;
};

/* Takes outlet in; its client is watched from OUTLET_WATCH_US on. */
void outlet_attach(struct outlets *outlets, struct outlet *outlet);
/* The queue is over its ceiling: whoever asks is to pause. */
bool outlet_full(struct outlet *outlet);
/* Treats the client as gone: nothing is written any more. */
void outlet_cut(struct outlet *outlet, bool stalled);

/* Writes and finishes what is dirty. */
void outlets_flush(struct outlets *outlets);
/* When outlets_watch() is wanted next, monotonic; INT64_MAX: not. */
int64_t outlets_due(const struct outlets *outlets);
/* Watches the clients whose time it is. */
void outlets_watch(struct outlets *outlets);
/* Tries waiting ones again, cuts slow readers, sends heartbeats. */
void outlets_sweep(struct outlets *outlets, int64_t now_us);

#endif /* LLM_OUTLET_H */
