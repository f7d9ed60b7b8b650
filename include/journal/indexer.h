/*
 * indexer.h - pages of grams of what was written, made behind the writers.
 *
 * See sql/migrations/0015_search.sql.  One process at a time makes them, and
 * for a part of its time only: what is in no page yet is read as it is.
 */
#ifndef JOURNAL_INDEXER_H
#define JOURNAL_INDEXER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/uuid.h"
#include "db/db.h"

struct indexer {
	struct db *db;              /* borrowed; a lock is held on it */
	const atomic_bool *stop;    /* borrowed */
	uint64_t leads;             /* the generation of db that has the lock */
	int64_t look_at_us;         /* when there may be something again */
	int64_t everyone_at_us;     /* when all users are looked at again */
	char after[UUID_TEXT_SIZE]; /* they are, from here; "": not now */
};

void indexer_init(struct indexer *indexer, struct db *db,
    const atomic_bool *stop);

/* Makes pages for at most so long.  What fails is tried again next time. */
enum err indexer_run(struct indexer *indexer, int64_t us) MUST_CHECK;

#endif /* JOURNAL_INDEXER_H */
