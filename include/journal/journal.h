/*
 * journal.h - the group commit: one thread a worker writes everything that is
 * logged.
 *
 * A batch is whatever came since the last commit; it is written with COPY in
 * one transaction (synchronous_commit=on), then every record's done() is
 * called.  ON CONFLICT: a running call is replaced by its end, an end never by
 * anything; an event or an ingested log that is there already is left.
 */
#ifndef JOURNAL_JOURNAL_H
#define JOURNAL_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "config/config.h"
#include "journal/record.h"

struct journal;

/* Starts the thread.  instance names this worker in its spool. */
enum err journal_start(const struct config *config, int instance,
    struct journal **out) MUST_CHECK;

/* Writes what is queued, then ends the thread. */
void journal_stop(struct journal *journal);

/*
 * Takes the record over.  Never blocks.  ERR_BUSY when there is no place (queue
 * at its ceiling, spool full or failing): the record stays the caller's.
 * Thread-safe.
 */
enum err journal_submit(struct journal *journal, struct record *record)
    MUST_CHECK;

/*
 * Many records of one transaction, all or nothing towards the client: the last
 * record's done() is called when all are durable.
 */
enum err journal_submit_all(struct journal *journal, struct record *first,
    size_t count) MUST_CHECK;

/* P4: is there a place for the record of a call that would start now? */
bool journal_accepts(const struct journal *journal);

struct journal_stats {
	uint64_t records, batches, spooled, replayed, refused, dead_letters;
	uint64_t queued, spool_bytes;
	bool database_up;
};
void journal_stats(const struct journal *journal, struct journal_stats *out);

#endif /* JOURNAL_JOURNAL_H */
