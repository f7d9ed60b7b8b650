/*
 * crowd.h - how many threads of a worker wait for a PostgreSQL that is slow.
 *
 * When its answers are late, some threads are left to the requests that do not
 * need it; those that do, above the rest, are refused at once instead of
 * standing in line behind it.  While it is as fast as it should be, nobody is.
 */
#ifndef DB_CROWD_H
#define DB_CROWD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define CROWD_LATE_US   300000  /* an answer that takes longer is late */
#define CROWD_MEMORY_US 1000000 /* after a late answer it counts as slow */

struct crowd {
	int most; /* threads that may wait for it when it is slow */
	atomic_int inside;
	atomic_llong late_us; /* monotonic: the last late answer; 0: none */
};

/* For so many threads: a quarter is left out, at least one if there is more
 * than one. */
void crowd_init(struct crowd *crowd, int threads);

/* False: not now.  must: it is in the middle of something. */
bool crowd_enter(struct crowd *crowd, int64_t now_us, bool must);
void crowd_leave(struct crowd *crowd, int64_t entered_us, int64_t now_us);

#endif /* DB_CROWD_H */
