/*
 * replay.h - segments of the spool into PostgreSQL.
 */
#ifndef JOURNAL_REPLAY_H
#define JOURNAL_REPLAY_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "db/db.h"
#include "journal/slot.h"

#define REPLAY_BATCH_MAX 1000 /* records a statement */

struct replay {
	struct db *db;
	size_t batch; /* records a statement: fewer after a timeout */
	size_t most;  /* of them, until the segment is delivered */
	/* The segment in which PostgreSQL was too slow, how many of its first
	 * records it has, and a checksum over their lines; "": none. */
	char name[SLOT_NAME_SIZE];
	uint64_t done;
	uint32_t crc;
	uint64_t records, buried, corrupt; /* so far */
	/* Called after every batch; not OK ends the replay with it.  May be
	 * NULL. */
	enum err (*progress)(void *arg);
	void *arg;
};

void replay_init(struct replay *replay, struct db *db);

/*
 * Delivers every good record of a segment; corrupt bytes, and then records that
 * minuted.dead_letters refuses too, are kept in its .bad file.  OK: the segment
 * can be removed.  ERR_BUSY, ERR_TIMEOUT: PostgreSQL; the same segment can be
 * replayed again, which goes on where it was after ERR_TIMEOUT.  One of which no
 * bytes can be copied is renamed to .bad whole, and that is OK too.
 * ERR_INPUT: of a newer version.  ERR_SYSTEM: the disk did not give it back, or
 * nothing can be kept there (errno); it stays as it is.  ERR_MEMORY.
 */
enum err replay_segment(struct replay *replay, int dir_fd,
    const char *name) MUST_CHECK;

#endif /* JOURNAL_REPLAY_H */
