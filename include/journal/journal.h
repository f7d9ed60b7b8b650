/*
 * journal.h - the group commit: one thread a worker writes everything that is
 * logged.
 *
 * A batch is whatever came since the last commit; new calls are copied into
 * their tables, or inserted when there is but one, other records written with
 * one statement a kind (synchronous_commit=on; a single call has a shorter
 * one), then every record's done() is called.  ON CONFLICT: a running call is
 * replaced by its end; an end never by anything, except "interrupted", which
 * was written by somebody else, by the call's own; an event or an ingested log
 * that is there already is left.
 *
 * A batch that PostgreSQL does not take within JOURNAL_TAKE_MS goes to the
 * spool, and so do the next ones until the keeper finds it back.
 *
 *	submit ─▶ queue ─▶ journal thread ─▶ PostgreSQL ─▶ done(DURABLE_DB)
 *	                        └▶ spool ─▶ done(DURABLE_SPOOL)
 *	                             └▶ keeper thread ─▶ PostgreSQL
 *
 * No place, no call: what is known is enough to refuse a call (journal_accepts),
 * and to make one while both places are known to be good (journal_is_sure).  In
 * between, while PostgreSQL is away, or the spool is full, fails, or was not
 * written to lately, the record of the call's start is kept before the provider
 * is asked.  That costs a commit, or the group's fsync, and only then.
 *
 * Measured, 2 cores, one connection, rows with texts of 200 bytes, in batches
 * of 1, 16, 64, 256 and 1000 (milliseconds a batch, commit included): lines as
 * one parameter 0.26, 0.6, 1.6, 5.4, 22; arrays as parameters 0.29, 0.64, 1.6,
 * 4.9, 22; COPY into a temporary table 0.63, 1.0, 2.0, 5.4, 23.  Calls that are
 * new need no ON CONFLICT and are copied into the tables themselves, which takes
 * four round trips and half of PostgreSQL's time: 24, 14 and 10 us of CPU a call
 * in batches of 10, 32 and 200, against 48, 29 and 20.  One that is alone takes
 * 111 us of it inserted and 146 with ON CONFLICT; two take 150 by COPY, 216 as
 * two inserts.
 */
#ifndef JOURNAL_JOURNAL_H
#define JOURNAL_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "config/config.h"
#include "journal/record.h"

struct journal;

/* what waits for the journal thread, at most: records, and bytes of lines */
#define JOURNAL_QUEUE_RECORDS 50000
#define JOURNAL_QUEUE_BYTES   ((size_t)128 * 1024 * 1024)
/* what is written at once; a group is never split */
#define JOURNAL_BATCH_RECORDS 1000
#define JOURNAL_BATCH_BYTES   ((size_t)8 * 1024 * 1024)
/* PostgreSQL's time for a statement of a batch, at most */
#define JOURNAL_TAKE_MS 2000
/* a batch that takes longer than this: nothing new is let in */
#define JOURNAL_STALL_MS 5000
/* who is hurried waits so long */
#define JOURNAL_WAIT_MS 10000

struct spool_board; /* spool.h */

/*
 * Starts the threads.  instance is this worker's slot in the spool (see
 * spool_open() for its failures, which are logged); without a SPOOL_DIR there
 * is no spool, and no place while PostgreSQL is away.  config is borrowed, and
 * board, which is what all workers know of the disk (NULL: this one alone).
 */
enum err journal_start(const struct config *config, int instance,
    struct spool_board *board, struct journal **out) MUST_CHECK;

/*
 * Writes what is queued, and takes no more.  The slot in the spool stays locked,
 * which says that this worker lives, until journal_stop().  NULL is legal.
 */
void journal_end(struct journal *journal);

/* The same if it has not ended, then ends the threads.  NULL is legal. */
void journal_stop(struct journal *journal);

/*
 * Takes the record over.  Never blocks.  ERR_BUSY when there is no place (queue
 * at its ceiling, spool failing, or full of a record that is not owed): the
 * record stays the caller's.
 * Thread-safe.
 */
enum err journal_submit(struct journal *journal,
    struct record *record) MUST_CHECK;

/*
 * Many records (linked by next), all or nothing towards the client: they are
 * taken and written together, and every done() says the same, the last one
 * last.
 */
enum err journal_submit_all(struct journal *journal, struct record *first,
    size_t count) MUST_CHECK;

/* Called now and then: tells the other workers when the disk hangs, and those
 * who are hurried that they have waited for long enough. */
void journal_watch(struct journal *journal);

/* Would what is submitted now be kept within JOURNAL_WAIT_MS, at the pace of the
 * last batches?  Who is hurried is not to wait in vain. */
bool journal_is_in_time(const struct journal *journal);

/* Do records of any worker of this machine wait in the spool? */
bool journal_any_waits(const struct journal *journal);

/* P4: may there be a place for the record of a call that would start now?  If
 * not, it is refused. */
bool journal_accepts(const struct journal *journal);

/*
 * P4: can the call be made at once, or is its start to be kept first, which
 * proves that there is a place?  At once as long as there are two: PostgreSQL
 * took the last batch and has not closed its connection since, and the spool's
 * disk was written to within SPOOL_SURE_MS.  So a call that a provider sees in
 * vain takes a PostgreSQL that stops without closing its connections (it
 * hangs, or the network does) and a disk that fails, both within that time.
 * Has the disk tried when that is due; never blocks.
 */
bool journal_is_sure(const struct journal *journal);

struct journal_stats {
	uint64_t records, batches, spooled, replayed, refused, dead_letters;
	uint64_t lost;    /* done(DURABLE_NONE) */
	uint64_t corrupt; /* places in the spool, kept in .bad files */
	uint64_t queued, spool_bytes;
	uint64_t passed_over; /* of the spool: what cannot be used */
	bool database_up;
	bool spool_up; /* false: a worker cannot write it, or waits for it */
};
void journal_stats(const struct journal *journal, struct journal_stats *out);

#endif /* JOURNAL_JOURNAL_H */
