/*
 * spool.h - where records wait on the local disk while PostgreSQL is away.
 *
 * A spool is the slot of one worker (slot.h) with its segments (segment.h).
 * The journal appends groups to the newest segment; the keeper (keeper.h)
 * seals it, delivers the oldest and removes it.  A segment that was sealed, or
 * left by a dead worker, is never written again.  Thread-safe.
 *
 * Space on the disk is taken before it is needed, so that a full disk is found
 * before a call is let in: by the segment being written, which has SPOOL_READY
 * bytes behind its end, and by the one after it (SLOT_NEXT).
 *
 * That a disk fails shows only when it is written to.  So it is tried also
 * while nothing is spooled (prober.h), by one worker for all: a block is
 * written again in place and synced, which allocates nothing; each worker makes
 * its file for that when it starts.  A write within SPOOL_SURE_MS is what the
 * workers rely on (spool_is_proven).
 *
 * That somebody has removed, replaced or closed the slot is looked for each
 * second (spool_look), also while PostgreSQL takes all records.
 *
 * The ceiling holds for the whole spool directory: the workers count together
 * what they write, and what is in other slots is measured now and then.  The
 * room that is ready is not counted.  The ends of calls that were let in pass
 * it: they are paid for, and no more of them than calls at once (STREAMS_MAX).
 */
#ifndef JOURNAL_SPOOL_H
#define JOURNAL_SPOOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "journal/record.h"
#include "journal/skipped.h"
#include "journal/slot.h"

/* A segment is sealed when the next group would take it over this. */
#define SPOOL_SEGMENT_MAX ((size_t)16 * 1024 * 1024)
/* What a new call is not let in for: the records of those that run need it. */
#define SPOOL_RESERVE ((uint64_t)8 * 1024 * 1024)
/* Room that a worker has on the disk before it needs it; at most a quarter of
 * the ceiling. */
#define SPOOL_READY ((uint64_t)4 * 1024 * 1024)
/* A write says so long that the disk works; in half of it it is tried again. */
#define SPOOL_SURE_MS 2000
/* A try that takes longer than this: the disk hangs. */
#define SPOOL_HANG_MS 5000

/* Slots of a board; of a higher number, a worker has the place of another. */
#define SPOOL_SLOTS 64

struct spool;

/*
 * What the workers of one SPOOL_DIR know of its disk, in memory that they
 * share.  Of the first three a bit a slot: a worker sets its own; each
 * looks at all, so that one that found the disk failing speaks for the others.
 */
struct spool_board {
	atomic_ullong failing;   /* it cannot be written, or has no room */
	atomic_ullong stalled;   /* a batch waits for too long */
	atomic_ullong waiting;   /* it has records that will be delivered */
	atomic_llong proven_us;  /* monotonic: the last write that went well */
	atomic_int prober;       /* the slot that tries the disk now, + 1 */
	atomic_llong probing_us; /* since when; 0: none does */
	struct skipped_board skipped;
	atomic_ullong bytes[SPOOL_SLOTS]; /* in the slots of living workers */
};
/* The worker of the slot has ended; what it left still waits. */
void spool_board_clear(struct spool_board *board, int slot);
/* Before the first worker: what an earlier life left in dir waits, also what
 * the workers' first rounds may pass over. */
void spool_board_look(struct spool_board *board, const char *dir);

struct spool_options {
	const char *dir; /* SPOOL_DIR; made if missing, its parent not */
	int slot;
	uint64_t bytes_max;
	struct spool_board *board; /* NULL: of its own */
};

/*
 * Before any slot is taken: can dir (made if missing, its parent not) be used,
 * and in it the slots of so many workers (made if missing, each with its lock)?
 * What is wrong is one line in the log.  ERR_INPUT: a segment of a newer version, which is left untouched.
 * ERR_SYSTEM: the disk.
 */
enum err spool_check(const char *dir, long workers) MUST_CHECK;

/*
 * Takes the slot.  What is wrong is one line in the log.  ERR_CONFLICT:
 * another process holds it.  ERR_INPUT: it has a segment of a newer version,
 * which is left untouched.  ERR_SYSTEM: the disk.
 */
enum err spool_open(const struct spool_options *options,
    struct spool **out) MUST_CHECK;
void spool_close(struct spool *spool);

/*
 * Appends count records as one group.  OK: fsynced.  ERR_BUSY: over the
 * ceiling, and none of them is owed.  ERR_SYSTEM: the disk failed twice, the
 * second time on a new segment; nothing is taken until spool_probe() succeeds.
 */
enum err spool_append(struct spool *spool, const struct record_view *records,
    size_t count) MUST_CHECK;

/* Is there a place for new work's records, as far as any worker knows?  Never
 * blocks. */
bool spool_has_place(const struct spool *spool);
/* Did a worker write to the disk within so long?  Never blocks. */
bool spool_is_proven(const struct spool *spool, int64_t within_ms);
/* Would so many more bytes of records go in? */
bool spool_fits(const struct spool *spool, uint64_t bytes);
bool spool_is_failing(const struct spool *spool);
bool spool_is_writable(const struct spool *spool); /* by all workers */
uint64_t spool_bytes(const struct spool *spool);   /* of the whole directory */

/* Sees to it that there is room on the disk for the records of calls that are
 * let in; without, there is no place. */
void spool_prepare(struct spool *spool);

/*
 * Is the slot where it was, and can it be written, as far as that can be seen
 * without writing?  One that was removed or replaced is made again.  Else it
 * is failing.
 *
 * spool_probe() looks too, and tries the disk, unless a worker wrote to it
 * within half of SPOOL_SURE_MS or does now: OK ends the failing state.
 * ERR_BUSY: a file to try it with has no room, so that nothing is known.  Both
 * by one thread only.
 */
enum err spool_look(struct spool *spool) MUST_CHECK;
enum err spool_probe(struct spool *spool) MUST_CHECK;

/* This worker's batch waits for too long, or does no more. */
void spool_tell_stalled(struct spool *spool, bool stalled);

/* The oldest segment that is sealed and not passed over.  ERR_MISSING when
 * there is none. */
enum err spool_oldest(struct spool *spool,
    char name[SLOT_NAME_SIZE]) MUST_CHECK;
/* Not delivered or not removed, a segment waits until a round of spool_adopt()
 * finds that all of it can be read and the slot be written.  False: no memory. */
bool spool_pass_over(struct spool *spool, const char *name, enum err why);
/* Slots and segments of the whole directory that are passed over now, as far as
 * the workers count them (skipped.h).  Never blocks. */
size_t spool_passed_over(const struct spool *spool);
/* Is nothing being written and nothing waiting that can be delivered? */
bool spool_is_empty(struct spool *spool);
/* Has a slot, of whatever worker, records that are not delivered?  What is
 * passed over does not count.  Never blocks. */
bool spool_any_waits(const struct spool *spool);
void spool_seal(struct spool *spool);
/* OK also when it was gone: set aside (replay.h), or removed by somebody. */
enum err spool_remove(struct spool *spool, const char *name) MUST_CHECK;
int spool_dir_fd(const struct spool *spool); /* of the slot; borrowed */

/*
 * Moves what dead workers left in other slots into this one, and measures the
 * others; adds the number of segments to *moved.  A slot or segment that
 * cannot be used, here or there, is passed over and stays as it is (skipped.h).
 */
void spool_adopt(struct spool *spool, size_t *moved);

#endif /* JOURNAL_SPOOL_H */
