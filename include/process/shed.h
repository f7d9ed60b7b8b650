/*
 * shed.h - which requests a worker has no time for (S-50).
 *
 * A request waits unread in its connection while every thread is busy.  A burst
 * is worth waiting for, a queue that stands is not: when requests have been
 * waiting for SHED_STANDING_US without a break, those that have waited longer
 * than QUEUE_TIMEOUT are answered 503 at once.  Then what is served is served
 * in time, and as much of it as ever.
 */
#ifndef PROCESS_SHED_H
#define PROCESS_SHED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "http/request.h"

#define SHED_STANDING_US 500000
#define SHED_FRESH_US    10000 /* younger: it did not wait */
#define SHED_FRESH_RUN   16    /* so many of them: there is no queue */

struct shed {
	int64_t timeout_us;       /* QUEUE_TIMEOUT; 0: nothing is refused */
	atomic_int idle;          /* threads that wait for a request */
	atomic_int fresh;         /* requests in a row that did not wait */
	atomic_llong standing_us; /* monotonic: since when; 0: there is none */
	atomic_llong last_us;     /* monotonic: the last one that had waited */
};

/* A thread begins, or ends, to wait for a request. */
void shed_wait(struct shed *shed);
void shed_work(struct shed *shed);

/* req was just read: it has waited too long. */
bool shed_refuses(struct shed *shed, const struct http_request *req);

#endif /* PROCESS_SHED_H */
