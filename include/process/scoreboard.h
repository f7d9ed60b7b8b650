/*
 * scoreboard.h - what workers tell each other and the supervisor, in shared
 * memory: a row a worker slot, written by its worker with atomics.
 */
#ifndef PROCESS_SCOREBOARD_H
#define PROCESS_SCOREBOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "journal/inflight.h"
#include "limit/limit.h"

/* two generations: a reload runs new workers beside draining ones */
#define SCOREBOARD_SLOTS 128

enum worker_state { WORKER_NONE = 0, WORKER_STARTING, WORKER_READY,
	WORKER_DRAINING };

struct scoreboard_row {
	atomic_int state;        /* enum worker_state */
	atomic_int pid;
	atomic_int connections;  /* open, from nginx */
	atomic_int calls;        /* open model calls */
	atomic_ullong requests;  /* answered */
	atomic_ullong heartbeat_us; /* last time its main thread was alive */
	atomic_int database_up;
};

struct scoreboard {
	struct scoreboard_row rows[SCOREBOARD_SLOTS];
	struct inflight *inflight[SCOREBOARD_SLOTS]; /* mapped before forks */
	struct limits *limits;
	int64_t started_us;
};

struct scoreboard *scoreboard_map(size_t calls_max); /* NULL: no memory */
void scoreboard_unmap(struct scoreboard *board);

/* The least number of connections of a ready worker. */
int scoreboard_least(const struct scoreboard *board);

#endif /* PROCESS_SCOREBOARD_H */
