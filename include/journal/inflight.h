/*
 * inflight.h - the calls that a worker has in its hands, in shared memory, so
 * that the supervisor can write their end when the worker dies.
 *
 * Mapped by the supervisor before it forks; one table a worker slot.  A slot is
 * written by the relay thread only, read by the supervisor only after the
 * worker is dead.  Pages are touched as they are used: an idle table costs
 * nothing.
 */
#ifndef JOURNAL_INFLIGHT_H
#define JOURNAL_INFLIGHT_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "journal/record.h"

/* bytes of answer text that survive the death of the worker, a call */
#define INFLIGHT_TEXT_MAX (28 * 1024)

struct inflight;      /* a worker's table */
struct inflight_slot; /* a call in it */

/*
 * Maps table number index for so many calls at once.  It is a sparse file,
 * dir/inflight.<index> (mode 0600), so that the calls in hand outlive the death
 * of every process; what an earlier life left is found again (a file of another
 * format or size is begun anew only when it holds no calls).  dir NULL:
 * anonymous memory.  NULL on failure, see errno.
 */
struct inflight *inflight_map(const char *dir, size_t index, size_t calls);
void inflight_unmap(struct inflight *table); /* accepts NULL; file stays */

/* NULL when the table is full.  Copies what row has except the response text
 * (request text is cut to 2 KiB). */
struct inflight_slot *inflight_enter(struct inflight *table,
    const struct call_row *row);
void inflight_text(struct inflight_slot *slot, const char *text, size_t len);
void inflight_leave(struct inflight *table, struct inflight_slot *slot);
size_t inflight_count(const struct inflight *table);

/*
 * After the worker's death: each(arg, row) for every call left, with status
 * "interrupted" and the text so far.  The table is not changed, so that it can
 * be read again; inflight_clear() empties it once every end is durable.
 */
void inflight_each(const struct inflight *table,
    void (*each)(void *arg, const struct call_row *row), void *arg);
void inflight_clear(struct inflight *table);

#endif /* JOURNAL_INFLIGHT_H */
