/*
 * sweep.h - the end of the calls that a dead worker had in its hands.
 */
#ifndef PROCESS_SWEEP_H
#define PROCESS_SWEEP_H

#include "api/scoreboard.h"
#include "db/db.h"
#include "journal/journal.h"

struct sweeper {
	struct scoreboard *board;
	struct journal *journal;
	const struct db_options *database;
};

/*
 * Of every WORKER_DEAD slot, writes the end ("interrupted", with the text so far,
 * and tokens and cost by estimate) of its calls through journal, and releases
 * the Idempotency-Keys that it held, also those whose taking PostgreSQL commits
 * only later, so that what is sent again runs anew.
 * Returns at once when there is nothing to do; else it may wait for the journal
 * and for PostgreSQL.
 * A slot is free again only when every record is durable and the keys are
 * released, so that our own death changes nothing; while PostgreSQL is away
 * slots wait with their keys only.
 */
void sweep_dead(const struct sweeper *sweeper);

/* A thread that does so five times a second, and copies what it is told.
 * sweep_stop() waits for what is being swept; NULL is legal. */
struct sweeping;
enum err sweep_start(const struct sweeper *sweeper,
    struct sweeping **out) MUST_CHECK;
void sweep_stop(struct sweeping *sweeping);

/* For the supervisor: pid is dead; what it swept is to be swept again. */
void sweep_abandon(struct scoreboard *board, int pid);

#endif /* PROCESS_SWEEP_H */
