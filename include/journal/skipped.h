/*
 * skipped.h - what of a spool directory cannot be used and is passed over.
 *
 * A slot or segment that is foreign, cannot be read or is from a newer version
 * stays as it is, and nothing waits for it: no other segment, no budget and no
 * key, though it may hold ends of calls that cost.  Who goes through the
 * directory in rounds adds in each round what he passes over; what was not
 * added again can be used now and is forgotten.  Each is told once, by one
 * worker for all.  Not thread-safe, except for the board.
 */
#ifndef JOURNAL_SKIPPED_H
#define JOURNAL_SKIPPED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "journal/slot.h"

/* Of more than so many, each worker tells itself. */
#define SKIPPED_TOLD 64

/* Of which a worker has told, in memory that they share; zeros: of none. */
struct skipped_board {
	atomic_ullong told[SKIPPED_TOLD];
};

struct skipped_item {
	char slot[SLOT_NAME_SIZE];    /* "": the spool directory */
	char segment[SLOT_NAME_SIZE]; /* "": the slot itself */
	bool met;                     /* in this round */
};

struct skipped {
	struct skipped_item *items;
	size_t count;
	struct skipped_board *board; /* borrowed */
};

void skipped_init(struct skipped *skipped, struct skipped_board *board);
void skipped_fini(struct skipped *skipped);

/* True: it is to be told. */
bool skipped_add(struct skipped *skipped, const char *slot,
    const char *segment);
bool skipped_has(const struct skipped *skipped, const char *slot,
    const char *segment);

/* It can be used, so that it is told again when it cannot: also one of which a
 * worker told that has ended since. */
void skipped_usable(struct skipped *skipped, const char *slot,
    const char *segment);
/* How much all workers pass over now; SKIPPED_TOLD: that much or more. */
size_t skipped_count(const struct skipped_board *board);

/* The segments of a slot are another worker's to tell of from now on: they stay
 * told. */
void skipped_leave(struct skipped *skipped, const char *slot);

void skipped_begin(struct skipped *skipped);
void skipped_end(struct skipped *skipped);

#endif /* JOURNAL_SKIPPED_H */
