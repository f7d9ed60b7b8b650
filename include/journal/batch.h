/*
 * batch.h - records into PostgreSQL, in as few statements as can be.
 *
 * Calls and events are one statement each, that takes the lines as its only
 * parameter, writes rows, texts and the deltas of usage, and commits by itself.
 * Calls that are new go the quick way, rows, texts and deltas in one
 * transaction: by COPY, or one that is alone by an insert that expects no other;
 * and the slow way when that is refused.
 * Writing the same records again changes nothing, so after a lost connection
 * the same batch is simply written again.
 */
#ifndef JOURNAL_BATCH_H
#define JOURNAL_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "db/db.h"
#include "journal/record.h"

/*
 * Writes count records.  OK: each is committed, as rows, or, when PostgreSQL
 * refuses it for what it contains, in minuted.dead_letters (added to *buried
 * unless it was there before).
 * ERR_BUSY, ERR_TIMEOUT: PostgreSQL is away, full or slow; some may be
 * committed.  ERR_MEMORY: nothing was sent.
 */
enum err batch_write(struct db *db, const struct record_view *records,
    size_t count, uint64_t *buried) MUST_CHECK;

/* Keeps a record, borrowed, that minuted.dead_letters refuses too. */
struct batch_aside {
	void (*keep)(void *arg, const struct record_view *record);
	void *arg;
};

/*
 * The same for who has a place for such records: they are handed to aside and
 * the others go on.  batch_write() is ERR_BUSY for one.
 */
enum err batch_write_aside(struct db *db, const struct record_view *records,
    size_t count, uint64_t *buried, const struct batch_aside *aside) MUST_CHECK;

/* Connects and prepares ahead of the first record.  ERR_BUSY. */
enum err batch_warm(struct db *db) MUST_CHECK;

#endif /* JOURNAL_BATCH_H */
