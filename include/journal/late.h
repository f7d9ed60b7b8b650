/*
 * late.h - records that are written long after the time of their id.
 *
 * Texts are searched for in pages of consecutive ids (see indexer.h).  Who
 * writes a record into what is in pages already notes it first.
 */
#ifndef JOURNAL_LATE_H
#define JOURNAL_LATE_H

#include <stddef.h>

#include "base/err.h"
#include "db/db.h"
#include "journal/record.h"

/* Ids that are older than this when they are written are late.  Pages end
 * LATE_PATIENCE_S before now, by PostgreSQL's clock and that of the worker
 * that makes them: what is between is how much later than when it was looked
 * at a record may be committed, or another worker's clock be. */
#define LATE_S          60
#define LATE_PATIENCE_S "180"

/*
 * Notes those of the records that are late, before they are written; records
 * that never are do no harm.  ERR_BUSY, ERR_TIMEOUT, ERR_MEMORY: none may be.
 */
enum err late_note(struct db *db, const struct record_view *records,
    size_t count) MUST_CHECK;

#endif /* JOURNAL_LATE_H */
