/*
 * scoreboard.h - what workers tell each other and the supervisor, in shared
 * memory: a row a worker slot, written by its worker with atomics.
 */
#ifndef API_SCOREBOARD_H
#define API_SCOREBOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "journal/inflight.h"
#include "journal/spool.h"
#include "limit/limit.h"

/* Two generations, because a reload runs new workers beside draining ones,
 * and as many dead ones whose calls are not written down yet. */
#define SCOREBOARD_SLOTS       64
#define SCOREBOARD_WORKERS_MAX 16

enum worker_state {
	WORKER_NONE = 0, /* the slot is free */
	WORKER_STARTING, /* forked, not serving yet */
	WORKER_READY,    /* accepts connections */
	WORKER_DRAINING, /* finishes what it has */
	WORKER_GONE, /* it has ended, and what it held is to be given back */
	WORKER_DEAD, /* its life was cut off: to be swept */
	WORKER_SWEEPING, /* a living worker (swept_by) writes the ends */
	WORKER_ORPHAN    /* drains still, after the death of its supervisor */
};

/* What a worker counts; /metrics shows the sum of all, dead ones included. */
enum board_count {
	COUNT_REQUESTS,
	COUNT_RECORDS,
	COUNT_BATCHES,
	COUNT_REFUSED,
	COUNT_SPOOLED,
	COUNT_REPLAYED,
	COUNT_DEAD_LETTERS,
	COUNT_CALLS_STARTED,
	COUNT_CALLS_COMPLETED,
	COUNT_CALLS_FAILED,
	COUNT_CALLS_CANCELLED,
	COUNT_SUMS, /* from here on gauges, which die with their worker */
	COUNT_QUEUED = COUNT_SUMS,
	COUNT_SPOOL_BYTES,
	COUNT_CALLS_OPEN,
	COUNT_CONNECTIONS,
	COUNT_ALL
};

struct scoreboard_row {
	atomic_int state; /* enum worker_state */
	atomic_int pid;
	atomic_int swept_by;    /* pid, while WORKER_SWEEPING */
	atomic_int connections; /* open, from nginx */
	atomic_int database_up;
	atomic_ullong counts[COUNT_ALL];
	atomic_ullong heartbeat_us; /* when its threads last got on */
	size_t spent;               /* the supervisor's: see give_back() */
};

struct scoreboard {
	struct scoreboard_row rows[SCOREBOARD_SLOTS];
	atomic_ullong past[COUNT_SUMS]; /* of workers that have ended */
	atomic_ullong restarts;         /* workers that died */
	struct inflight *inflight[SCOREBOARD_SLOTS];
	struct limits *limits;    /* of users and keys */
	struct limits *logins;    /* of strangers: only windows */
	struct spool_board spool; /* what is known of its disk */
	int64_t started_us;       /* monotonic */
};

/*
 * Maps it before the first fork.  The calls in hand are kept in files under
 * dir, so that they outlive the death of every process; slots in which an
 * earlier life was cut off come back as WORKER_DEAD.  NULL: see errno.
 */
struct scoreboard *scoreboard_map(const char *dir, size_t calls_max);
void scoreboard_unmap(struct scoreboard *board); /* accepts NULL */

/* The least number of connections of a ready worker; 0 without one. */
int scoreboard_least(const struct scoreboard *board);

/* The sum of a count over all workers, of a sum also over those that ended. */
unsigned long long scoreboard_count(const struct scoreboard *board,
    enum board_count count);

/* Workers that are ready, and how many of them reach PostgreSQL. */
int scoreboard_ready(const struct scoreboard *board);
int scoreboard_database_up(const struct scoreboard *board);

/* Is there a record, or an end of a call, that the tables may not have yet: in
 * the spool, or in the hands of the dead? */
bool scoreboard_is_behind(const struct scoreboard *board);

/* The worker of slot has ended: its sums are kept, its gauges are gone.  The
 * slot is free, or to be swept, once what its calls cost is spent and what it
 * held of the limits is given back: at once, or in scoreboard_tend(), which the
 * supervisor calls now and then.  Neither waits for a lock that a worker has. */
void scoreboard_retire(struct scoreboard *board, int slot);
void scoreboard_tend(struct scoreboard *board);

/* A free slot, now WORKER_STARTING; -1 when all are taken.  When the dead have
 * all of them, one that had no calls: that whose life began last. */
int scoreboard_claim(struct scoreboard *board);

#endif /* API_SCOREBOARD_H */
