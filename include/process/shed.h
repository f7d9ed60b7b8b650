/*
 * shed.h - which requests a worker has no time for (S-50).
 *
 * A request waits unread in its connection while every thread is busy.  A burst
 * is worth waiting for, and so is a queue that is as long as its clients are
 * many: they ask again only when they were answered.  One that stands and has
 * grown beyond that is not: when requests have been waiting for
 * SHED_STANDING_US without a break, and more than QUEUE_MAX of them wait at
 * once, those that have waited longer than QUEUE_TIMEOUT are answered 503, until
 * none has to wait any more.  Then what is served is served in time, and as
 * much of it as ever.  Whoever is refused was read by a thread that had time for
 * that: at the latest when the shortest of the requests in hand is answered.
 */
#ifndef PROCESS_SHED_H
#define PROCESS_SHED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHED_STANDING_US 500000
#define SHED_FRESH_US    10000    /* younger: it did not wait */
#define SHED_FRESH_RUN   16       /* so many of them: there is no queue */
#define SHED_COUNT_US    50000    /* between two looks at how many wait */
#define SHED_CEILING_US  30000000 /* older: its client has given up */

struct shed {
	int64_t timeout_us; /* QUEUE_TIMEOUT; 0: nothing is refused */
	size_t queue_max;   /* QUEUE_MAX */
	/* how many requests wait; looked at seldom, not further than enough */
	size_t (*waiting)(void *arg, size_t enough);
	void *arg;
	atomic_int idle;          /* threads that wait for a request */
	atomic_int fresh;         /* requests in a row that did not wait */
	atomic_llong standing_us; /* monotonic: since when; 0: there is none */
	atomic_llong last_us;     /* monotonic: the last one that had waited */
	atomic_llong counted_us;  /* monotonic: the last look */
	atomic_bool overloaded;   /* too many were there, and it stands still */
};

/* A thread begins, or ends, to wait for a request. */
void shed_wait(struct shed *shed);
void shed_work(struct shed *shed);
bool shed_has_idle(const struct shed *shed);

/* Finds an overload, at now_us (monotonic), also when no thread gets free to
 * read a request: to be called more often than each SHED_STANDING_US.  True: it
 * is overloaded. */
bool shed_look(struct shed *shed, int64_t now_us);
bool shed_is_overloaded(const struct shed *shed);

/* One that waited too long was refused unread, at now_us. */
void shed_refused(struct shed *shed, int64_t now_us);

/* A request that arrived age_us ago was just read, at now_us (monotonic): it
 * has waited too long. */
bool shed_refuses(struct shed *shed, int64_t now_us, int64_t age_us);

#endif /* PROCESS_SHED_H */
