/*
 * keeper.h - the journal's second thread: it knows whether PostgreSQL takes
 * records, delivers the spool in the background and does the house's chores.
 *
 * Live records never wait for it: they go to the database first again as soon
 * as it is back, while the keeper, on a connection of its own, delivers what
 * waits.  The order does not matter, because an end is never replaced.
 *
 * It watches its connection: a PostgreSQL that ends closes it, and is known to
 * be away within milliseconds, before a call is let in that counts on it.
 *
 * The chores: folding usage deltas, pages for searches (indexer.h), ending calls
 * that have run for longer than they can, partitions for the months ahead,
 * removing what is past its retention, adopting what dead workers left in the
 * spool.
 */
#ifndef JOURNAL_KEEPER_H
#define JOURNAL_KEEPER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "config/config.h"
#include "journal/prober.h"
#include "journal/spool.h"

struct keeper;

/* Starts the thread; config and spool with its prober (both NULL without) are
 * borrowed. */
enum err keeper_start(const struct config *config, struct spool *spool,
    struct prober *prober, struct keeper **out) MUST_CHECK;
void keeper_stop(struct keeper *keeper); /* NULL is legal */

/* Did PostgreSQL take the last thing that it was given?  Never blocks. */
bool keeper_database_up(const struct keeper *keeper);

/* The same, and is its connection as it should be?  Never blocks. */
bool keeper_database_sure(const struct keeper *keeper);

/* It did not: from now on the spool, until the keeper finds it back. */
void keeper_database_failed(struct keeper *keeper);

struct keeper_stats {
	uint64_t replayed, buried, corrupt;
};
void keeper_stats(const struct keeper *keeper, struct keeper_stats *out);

#endif /* JOURNAL_KEEPER_H */
