/*
 * replay.h - segments of the spool into PostgreSQL.
 */
#ifndef JOURNAL_REPLAY_H
#define JOURNAL_REPLAY_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "db/db.h"

#define REPLAY_BATCH_MAX 1000 /* records a statement */

struct replay {
	struct db *db;
	size_t batch; /* records a statement: fewer after a timeout */
	uint64_t records, buried, corrupt; /* so far */
	/* Called after every batch; not OK ends the replay with it.  May be
	 * NULL. */
	enum err (*progress)(void *arg);
	void *arg;
};

void replay_init(struct replay *replay, struct db *db);

/*
 * Delivers every good record of a segment; corrupt bytes are kept in its .bad
 * file.  OK: the segment can be removed.  ERR_BUSY, ERR_TIMEOUT: PostgreSQL;
 * the same segment can be replayed again from its start.  A segment that the
 * disk does not give back, or of which no bytes can be copied, is renamed to
 * .bad whole, and that is OK too.
 * ERR_INPUT: of a newer version.  ERR_SYSTEM, ERR_MEMORY.
 */
enum err replay_segment(struct replay *replay, int dir_fd,
    const char *name) MUST_CHECK;

#endif /* JOURNAL_REPLAY_H */
