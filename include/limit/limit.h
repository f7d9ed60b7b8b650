/*
 * limit.h - counters in shared memory, exact across workers and surviving the
 * death of any of them.
 *
 * Made by the supervisor before it forks.  A counter is found by a name
 * ("rate:playground:<user id>"); its place is reused when its window is over.
 */
#ifndef LIMIT_LIMIT_H
#define LIMIT_LIMIT_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct limits;

struct limit_state { /* for the RateLimit headers */
	int64_t limit, remaining;
	int64_t reset_s; /* seconds until the window ends, at least 1 */
};

/* Maps a table of counters.  NULL when memory is short. */
struct limits *limits_map(size_t counters);
void limits_unmap(struct limits *limits);

/*
 * Takes cost from a fixed window of max per window_ms: OK, or ERR_LIMIT and
 * nothing is taken.  state may be NULL.  ERR_BUSY when the table is full.
 */
enum err limit_take(struct limits *limits, const char *name, int64_t cost,
    int64_t max, int64_t window_ms, struct limit_state *state) MUST_CHECK;

/* What limit_take() would say, taking nothing. */
enum err limit_look(struct limits *limits, const char *name, int64_t max,
    int64_t window_ms, struct limit_state *state) MUST_CHECK;

#endif /* LIMIT_LIMIT_H */
