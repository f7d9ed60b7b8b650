/*
 * later.h - statements that PostgreSQL did not take in time: they wait in memory
 * and are tried again until it does.
 *
 * For what a client may be answered without: a worker that dies forgets them.
 */
#ifndef API_LATER_H
#define API_LATER_H

#include <stdbool.h>

#include "config/config.h"
#include "db/db.h"

struct later; /* a thread and its queue; one a worker */

/* Of arguments; the last quarter is left to statements with short ones. */
#define LATER_BYTES_MAX ((size_t)32 * 1024 * 1024)
#define LATER_SHORT     4096

#define LATER_UNDO_MS 600000 /* since PostgreSQL answers again */

enum err later_start(const struct config *config,
    struct later **out) MUST_CHECK;
/* Tries what waits once more; false: not all of it was done.  NULL is legal. */
bool later_stop(struct later *later);

/* Copies args.  ERR_BUSY: too many bytes wait; also when later is NULL. */
enum err later_do(struct later *later, enum db_stmt stmt,
    const char *const *args) MUST_CHECK;

/*
 * The same with what undoes a statement whose end was not heard of: PostgreSQL
 * may do that one after this.  So stmt, which returns a row when there was
 * something to undo, is done again, ever more seldom, until it does, or for
 * LATER_UNDO_MS.
 */
enum err later_undo(struct later *later, enum db_stmt stmt,
    const char *const *args) MUST_CHECK;

#endif /* API_LATER_H */
