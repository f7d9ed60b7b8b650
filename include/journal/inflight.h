/*
 * inflight.h - the calls that a worker has in its hands, in shared memory, so
 * that the supervisor can write their end when the worker dies.
 *
 * Mapped by the supervisor before it forks; one table a worker slot.  A slot is
 * written by the relay thread only, read by others only after the worker is
 * dead.  Pages are touched as they are used: an idle table costs nothing.
 */
#ifndef JOURNAL_INFLIGHT_H
#define JOURNAL_INFLIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/uuid.h"
#include "journal/record.h"

/* bytes of answer text that survive the death of the worker, a call */
#define INFLIGHT_TEXT_MAX (28 * 1024)

struct inflight;      /* a worker's table */
struct inflight_slot; /* a call in it */

/*
 * Where the tables are, appended to out: a folder of memory_dir ("/dev/shm")
 * that belongs to this user and this SPOOL_DIR, so that no call ever waits for
 * a disk, and the next start finds what this one leaves.  SPOOL_DIR itself
 * where that cannot be (said in one line of the log), and as long as it has
 * calls of an earlier life.  ERR_SYSTEM, ERR_MEMORY: see errno.
 */
struct inflight_place {
	const char *spool_dir, *memory_dir;
	size_t tables, calls; /* how many there will be; calls a table */
};
enum err inflight_home(const struct inflight_place *place,
    struct buf *out) MUST_CHECK;

/* At the end: removes a folder that inflight_home() has made in memory, unless
 * there is something in its tables. */
void inflight_leave_home(const struct inflight_place *place, const char *home);

/*
 * Maps table number index for so many calls at once.  It is a sparse file,
 * dir/inflight.<index> (mode 0600), so that the calls in hand outlive the death
 * of every process; what an earlier life left, or still uses, is found again (a
 * file of another format is kept beside).  dir NULL: anonymous memory.  NULL on
 * failure, see errno.
 */
struct inflight *inflight_map(const char *dir, size_t index, size_t calls);
void inflight_unmap(struct inflight *table); /* accepts NULL; file stays */

/*
 * The life of the worker that has the table: an id from its start to its clean
 * end.  A life that is left is one that was cut off.
 */
void inflight_begin(struct inflight *table, const struct uuid *life);
void inflight_end(struct inflight *table);
bool inflight_life(const struct inflight *table, struct uuid *out);

/* Does anything wait there for a sweep: calls, or a life? */
bool inflight_is_left(const struct inflight *table);

/* NULL when the table is full.  Copies what row has except the response text
 * (request text is cut to 2 KiB). */
struct inflight_slot *inflight_enter(struct inflight *table,
    const struct call_row *row);
void inflight_text(struct inflight_slot *slot, const char *text, size_t len);
/* So many characters of answer in all, texts and what is none. */
void inflight_generated(struct inflight_slot *slot, int64_t characters);
/* The call has the tokens and the cost of row now: it is sent, or it is over and
 * its record on its way. */
void inflight_used(struct inflight_slot *slot, const struct call_row *row);
void inflight_leave(struct inflight *table, struct inflight_slot *slot);
size_t inflight_count(const struct inflight *table);

/*
 * After the worker's death: each(arg, row) for every call left, with status
 * "interrupted" and the text so far.  The table is not changed, so that it can
 * be read again; inflight_empty() forgets the calls once every end is durable,
 * inflight_end() ends the life.
 */
void inflight_each(const struct inflight *table,
    void (*each)(void *arg, const struct call_row *row), void *arg);
void inflight_empty(struct inflight *table);

#endif /* JOURNAL_INFLIGHT_H */
