/*
 * limit.h - counters in shared memory, exact across workers and surviving the
 * death of any of them.
 *
 * Made by the supervisor before it forks.  A counter is found by a name
 * ("playground:<user id>:<ms>"); its place is reused when its window is over.
 * Two kinds: windows, which are taken from and start anew, and holds, which
 * are given back by their holder or, when it died, by the supervisor.
 * A window that runs ends when it was to end: one whose length can be changed
 * has its length in its name.
 *
 * Nobody waits for long for a process that was stopped while it had the lock of
 * some counters: whoever takes or asks gets ERR_BUSY after a tenth of a second,
 * and what is added or given back is done later (limits_catch_up()).
 */
#ifndef LIMIT_LIMIT_H
#define LIMIT_LIMIT_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* bytes of a name, without NUL; longer names are ERR_BUG */
#define LIMIT_NAME_MAX 80

struct limits;

struct limit_state { /* for the RateLimit headers */
	int64_t limit, remaining;
	int64_t reset_s; /* seconds until the window ends, at least 1 */
	int64_t ends_us; /* which window it was, for limit_give() */
};

/* Maps a table of counters.  NULL when memory is short. */
struct limits *limits_map(size_t counters);
void limits_unmap(struct limits *limits); /* NULL is legal */

/* Does what this process could not do when it was asked to; now and then.
 * Never waits. */
void limits_catch_up(struct limits *limits);

/*
 * Takes cost from a fixed window of max per window_ms: OK, or ERR_LIMIT and
 * nothing is taken.  state may be NULL.  ERR_BUSY when the table is full or the
 * counter cannot be had.
 */
enum err limit_take(struct limits *limits, const char *name, int64_t cost,
    int64_t max, int64_t window_ms, struct limit_state *state) MUST_CHECK;

/*
 * The same of a cost that can be less: of what is left no more than one of so
 * many parts, but the least at least.  taken: how much it was.
 */
struct limit_part {
	const char *name;
	int64_t least, most; /* of the cost */
	int64_t parts;       /* from 1 */
	int64_t max, window_ms;
	struct limit_state *state; /* may be NULL */
};
enum err limit_take_part(struct limits *limits, const struct limit_part *part,
    int64_t *taken) MUST_CHECK;

/* What limit_take() of 1 would say, taking nothing. */
enum err limit_look(struct limits *limits, const char *name, int64_t max,
    int64_t window_ms, struct limit_state *state) MUST_CHECK;

/* Adds cost to the window even over max: what is known only afterwards
 * (tokens), or counts failures.  ERR_BUSY when the table is full. */
enum err limit_add(struct limits *limits, const char *name, int64_t cost,
    int64_t window_ms) MUST_CHECK;

/* Gives back what limit_take() took, when it was not used after all; taken is
 * what that call said.  A window that is over keeps it. */
void limit_give(struct limits *limits, const char *name, int64_t cost,
    const struct limit_state *taken);

/* Forgets the window: the failures before a login that succeeded. */
void limit_forget(struct limits *limits, const char *name);

/*
 * Holds: what is in use now.  Concurrent calls hold 1 each of a max; a budget
 * holds the reservation of each running call (amount) beside what is spent
 * already (taken, from the tables).  OK when what all owners hold, plus taken,
 * plus amount is at most max; else ERR_LIMIT and nothing is held.  owner is
 * the worker's slot.  ERR_BUSY when the table is full.
 */
struct limit_hold {
	const char *name;
	int owner;
	int64_t amount;
	int64_t max;
	int64_t taken;
	struct limit_state *state; /* what is left; NULL: nobody asks */
};
enum err limit_hold(struct limits *limits,
    const struct limit_hold *hold) MUST_CHECK;
/* Gives back; more than is held gives back all. */
void limit_release(struct limits *limits, const char *name, int owner,
    int64_t amount);

/*
 * A reservation turns out to be something that is used for good: owner gives
 * back what it had reserved, and what it had used, and to (who may be owner)
 * has used amount, whatever the ceiling.  There is no moment at which less is
 * held.  ERR_BUSY when the table is full: then amount does not count.
 */
struct limit_move {
	const char *name;
	int owner;
	int64_t reserved, used; /* given back */
	int to;
	int64_t amount;
	int64_t lasts_ms; /* of what to holds; 0: until it is given back */
};
enum err limit_move(struct limits *limits,
    const struct limit_move *move) MUST_CHECK;
/*
 * All owners together have used amount at least from now on, beside what they
 * have reserved: owner has used what is missing.  ERR_BUSY when the table is
 * full or the counter cannot be had.
 */
enum err limit_raise(struct limits *limits, const char *name, int owner,
    int64_t amount, int64_t lasts_ms) MUST_CHECK;

/*
 * The worker in slot owner is dead.  Neither waits for a lock that somebody
 * else has: ERR_BUSY, and it is to be asked for again.
 */
/* If owner holds anything of the name, to has used amount, as in limit_move(),
 * and owner holds what it held.  ERR_MEMORY when the table is full. */
enum err limit_inherit(struct limits *limits,
    const struct limit_move *move) MUST_CHECK;
/* Everything that it held is given back. */
enum err limit_release_owner(struct limits *limits, int owner) MUST_CHECK;

#endif /* LIMIT_LIMIT_H */
