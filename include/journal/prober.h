/*
 * prober.h - the thread that tries the spool's disk before it is needed.
 *
 * It is a thread of its own because a disk that hangs holds whoever writes to
 * it: neither requests nor the journal's other work wait for it.  It writes
 * when somebody asks, who is a call that comes in when the last write was
 * longer ago than half of SPOOL_SURE_MS; so a disk is tried once a second
 * while there are calls, by one worker for all, and not at all while there are
 * none.  A disk that failed is tried each second until it works, and so is one
 * that is needed, because PostgreSQL is away.  Each second it looks whether the
 * slot is still there, which writes nothing.
 */
#ifndef JOURNAL_PROBER_H
#define JOURNAL_PROBER_H

#include "base/err.h"
#include "journal/spool.h"

struct prober;

/* Starts the thread; spool is borrowed. */
enum err prober_start(struct spool *spool, struct prober **out) MUST_CHECK;
void prober_stop(struct prober *prober); /* NULL is legal */

/* Has the disk tried, unless that was done lately.  Never blocks; any thread. */
void prober_ask(struct prober *prober);

#endif /* JOURNAL_PROBER_H */
