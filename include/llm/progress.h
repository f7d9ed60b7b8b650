/*
 * progress.h - how far a call is: from the hand-over to its committed record.
 *
 *	START ──▶ SENT ──▶ BODY ──▶ OVER ──▶ COMMIT ──▶ SETTLED
 *	   └────────┴────────┴──────▶┘  ◀──────┘ not durable: tried again
 *
 * A call stays in START until the record of its start is kept, when the journal
 * is not sure of a place (journal_is_sure); if it is not kept, the provider is
 * not asked, and the client is told at once.
 */
#ifndef LLM_PROGRESS_H
#define LLM_PROGRESS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "http/sse.h"
#include "journal/inflight.h"
#include "journal/record.h"
#include "llm/call.h"
#include "llm/outlet.h"
#include "llm/provider.h"
#include "llm/relay.h"
#include "llm/transfer.h"

enum phase {
	PHASE_START, /* nothing was sent; the start's record may be waited for */
	PHASE_SENT,  /* the request is under way, no answer yet */
	PHASE_BODY,  /* the head of the answer came */
	PHASE_OVER,  /* ended; the journal has no record of the end yet */
	PHASE_COMMIT, /* the journal has the record */
	PHASE_SETTLED /* sink->end() was called; in no list */
};

struct echo;

struct progress {
	struct relay *relay;
	struct call *call;
	struct progress *prev, *next;           /* relay->open, until SETTLED */
	struct progress *echo_prev, *echo_next; /* relay->echo_first */
	enum phase phase;
	struct llm_request request;
	struct transfer *transfer; /* NULL for echo, and once OVER */
	struct echo *echo;         /* NULL for the others */
	struct sse_parser parser;
	struct inflight_slot *slot;
	struct keeping *start;   /* its record, while START waits for it */
	struct keeping *keeping; /* the end record, while OVER or COMMIT */
	int64_t due_us;          /* echo: the next word */
	int64_t heard_us;        /* last bytes of the provider */
	int64_t head_us;         /* the head came */
	bool events;             /* the answer is an event stream */
	bool begun;              /* sink->begin() was called */
	bool finished;           /* every choice's finish_reason came */
	bool done;               /* the terminator came */
	bool paused;             /* bytes() said PAUSE */
	bool running_logged;
	bool truncated; /* call->text is at its ceiling */
	bool unbilled;  /* the provider did not take the call */
	bool taken;     /* relay_start() took the call over */
};

/* The end record of a call on its way, also when its client no longer waits; or
 * that of its start, when that has to be kept first. */
struct keeping {
	struct keeping *next; /* relay->kept or relay->orphans */
	struct relay *relay;
	struct progress *progress; /* NULL: nobody waits */
	struct inflight_slot *slot;
	struct record *record;     /* while the journal does not have it */
	struct record *copy;       /* of an orphan, for trying again */
	char call[UUID_TEXT_SIZE]; /* for the log */
	enum durable how;
	bool is_start;
};

/* A relay, as its own files see it. */
struct relay {
	const struct config *config;
	struct journal *journal;
	struct inflight *inflight;
	pthread_t thread;

	/* the relay thread's own */
	struct loop *loop;
	struct watch *inbox; /* of event_fd */
	struct transfers *transfers;
	struct outlets outlets;
	struct progress *open;
	struct progress *echo_first, *echo_last;
	struct keeping *orphans;
	int64_t sweep_due_us;

	/* between threads, under lock */
	pthread_mutex_t lock;
	pthread_cond_t idle; /* nothing is left */
	struct outlet *arrived, **arrived_end;
	struct keeping *kept, **kept_end;
	struct relay_task *tasks, **tasks_end;
	bool woken; /* the eventfd was written */
	bool cut_asked, stop_asked;
	int event_fd;

	atomic_bool draining;
	atomic_llong places; /* calls taken on, not settled */
	atomic_llong left;   /* calls, outlets and orphans still here */
	atomic_ullong started, completed, failed, cancelled;
};

/* Builds what will be sent; by the request's thread, before the hand-over.
 * ERR_MEMORY, ERR_INPUT, ERR_UPSTREAM. */
enum err progress_new(struct relay *relay, struct call *call) MUST_CHECK;

/* The relay's thread, from here on. */
void progress_start(struct progress *progress);
/* Its start is kept: asks the provider. */
void progress_send(struct progress *progress);
/* Its start is not kept: ends it, and nobody waits for the record of that. */
void progress_refuse(struct progress *progress);
/* The next word of echo. */
void progress_echo(struct progress *progress);
/* Ends it as failed with code (see call_fail()), unless it is over. */
void progress_fail(struct progress *progress, const char *code);
/* The client left: cancels the provider's work, unless it is over. */
void progress_cancel(struct progress *progress, bool stalled);
void progress_resume(struct progress *progress);
void progress_sweep(struct progress *progress, int64_t now_us);
/* The record is durable, or nobody waits for that any more: tells the sink. */
void progress_settle(struct progress *progress, enum durable how);

/* keeping.c: records on their way to the journal. */
void keeping_running(struct progress *progress);
/* Has the start kept, then progress_send() or progress_refuse().  False: the
 * journal did not take the record. */
bool keeping_start(struct progress *progress) MUST_CHECK;
void keeping_forget_start(struct progress *progress); /* nobody waits for it */
void keeping_end(struct progress *progress);
/* OVER or COMMIT: the client waits no longer, the record goes on. */
void keeping_orphan(struct progress *progress);
/* OVER or COMMIT: tries again; lets the client go at the deadline. */
void keeping_wait(struct progress *progress, int64_t now_us);
void keeping_done(struct keeping *keeping); /* the journal answered */
void keeping_sweep(struct relay *relay);    /* orphans try again */
void keeping_abandon(struct relay *relay);  /* the relay ends: orphans go */

/* relay.c */
void relay_kept(struct relay *relay, struct keeping *keeping); /* any thread */
void relay_leave(struct relay *relay); /* one less of relay->left */
void relay_echo_add(struct progress *progress);
void relay_echo_remove(struct progress *progress);

#endif /* LLM_PROGRESS_H */
