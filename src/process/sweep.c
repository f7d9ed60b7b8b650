/*
 * sweep.c - writes down the ends of calls whose worker died.
 */
#include "process/sweep.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "llm/usage.h"

#define PAUSE_MS 200 /* between two looks */

struct sweep {
	struct journal *journal;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t settled;
	size_t waiting; /* submitted, not durable yet */
	size_t failed;
	size_t count;
};

static void
record_done(struct record *record, enum durable how)
{
	struct sweep *sweep = record->arg;

	pthread_mutex_lock(&sweep->lock);
	sweep->waiting--;
	if (how == DURABLE_NONE)
		sweep->failed++;
	pthread_cond_signal(&sweep->settled);
	pthread_mutex_unlock(&sweep->lock);
}

static void
wait_until_settled(struct sweep *sweep)
{
	pthread_mutex_lock(&sweep->lock);
	while (sweep->waiting > 0)
		pthread_cond_wait(&sweep->settled, &sweep->lock);
	pthread_mutex_unlock(&sweep->lock);
}

static enum err
submit(struct sweep *sweep, struct record *record)
{
	enum err err;

	pthread_mutex_lock(&sweep->lock);
	sweep->waiting++;
	pthread_mutex_unlock(&sweep->lock);
	err = journal_submit(sweep->journal, record);
	if (err == OK)
		return OK;
	pthread_mutex_lock(&sweep->lock);
	sweep->waiting--;
	pthread_mutex_unlock(&sweep->lock);
	return err;
}

static void
write_end(void *arg, const struct call_row *row)
{
	struct sweep *sweep = arg;
	struct call_row ended = *row;
	struct record *record = NULL;
	enum err err;

	usage_estimate_end(&ended);
	err = record_call(&ended, &record);
	sweep->count++;
	if (err == OK) {
		record->done = record_done;
		record->arg = sweep;
		record->owed = true;
		err = submit(sweep, record);
	}
	if (err == ERR_BUSY) {
		/* more calls than the queue holds: when it is empty again */
		wait_until_settled(sweep);
		err = submit(sweep, record);
	}
	if (err == OK)
		return;
	pthread_mutex_lock(&sweep->lock);
	sweep->failed++;
	pthread_mutex_unlock(&sweep->lock);
	record_free(record);
}

/* Only what was not answered: nobody can answer it now.  ERR_BUSY: PostgreSQL is
 * away, or does not answer; ERR_TIMEOUT: somebody holds one of them. */
static enum err
release_keys(const struct sweeper *sweeper, const struct uuid *life)
{
	struct db *db = db_new(sweeper->database);
	char text[UUID_TEXT_SIZE];
	const char *args[] = { text };
	enum err err = ERR_MEMORY;

	uuid_text(life, text);
	if (db != NULL)
		err = db_query(db, DB_IDEMPOTENCY_RELEASE, args, NULL);
	if (err == ERR_TIMEOUT && strcmp(db_fault(db)->sqlstate, DB_LATE) == 0)
		err = ERR_BUSY;
	db_free(db);
	return err;
}

/* They stay when they cannot be written down yet. */
static void
sweep_calls(const struct sweeper *sweeper, int slot)
{
	struct scoreboard *board = sweeper->board;
	struct sweep sweep = { .journal = sweeper->journal,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.settled = PTHREAD_COND_INITIALIZER };

	inflight_each(board->inflight[slot], write_end, &sweep);
	wait_until_settled(&sweep);
	if (sweep.failed > 0) {
		log_warn("%zu interrupted calls of a dead worker could not be "
			 "written down yet",
		    sweep.failed);
		return;
	}
	inflight_empty(board->inflight[slot]);
	if (sweep.count > 0)
		log_info("%zu calls of a dead worker are marked interrupted",
		    sweep.count);
}

/* ERR_BUSY, ERR_TIMEOUT, ERR_MEMORY: its life stays for who can release it. */
static enum err
sweep_life(const struct sweeper *sweeper, int slot)
{
	struct inflight *calls = sweeper->board->inflight[slot];
	enum err err = OK;
	struct uuid life;

	if (inflight_life(calls, &life))
		err = release_keys(sweeper, &life);
	if (err == ERR_BUSY || err == ERR_TIMEOUT || err == ERR_MEMORY)
		return err;
	if (err != OK)
		log_warn("Idempotency-Keys of a dead worker stay taken until "
			 "they are too old: %s",
		    err_name(err));
	inflight_end(calls);
	return OK;
}

/*
 * swept_by is the claim, taken before the state moves and given up after it,
 * so that there is no moment at which two sweep a slot: the second would clear
 * the calls of the worker that has it by then.
 */
static bool
claim(struct scoreboard_row *row)
{
	int nobody = 0;
	int dead = WORKER_DEAD;

	if (atomic_load(&row->state) != WORKER_DEAD ||
	    !atomic_compare_exchange_strong(&row->swept_by, &nobody,
		(int)getpid()))
		return false;
	if (atomic_compare_exchange_strong(&row->state, &dead, WORKER_SWEEPING))
		return true;
	atomic_store(&row->swept_by, 0); /* somebody has just done it */
	return false;
}

static void
give_up(struct scoreboard *board, int slot)
{
	struct scoreboard_row *row = &board->rows[slot];

	atomic_store(&row->state, inflight_is_left(board->inflight[slot])
				      ? WORKER_DEAD
				      : WORKER_NONE);
	atomic_store(&row->swept_by, 0);
}

/* All calls before the first key: they do not wait for PostgreSQL. */
void
sweep_dead(const struct sweeper *sweeper)
{
	struct scoreboard *board = sweeper->board;
	enum err err = OK;

	for (int slot = 0; slot < SCOREBOARD_SLOTS; slot++) {
		if (!claim(&board->rows[slot]))
			continue;
		sweep_calls(sweeper, slot);
		give_up(board, slot);
	}
	for (int slot = 0; slot < SCOREBOARD_SLOTS && err != ERR_BUSY; slot++) {
		if (!claim(&board->rows[slot]))
			continue;
		if (inflight_count(board->inflight[slot]) == 0)
			err = sweep_life(sweeper, slot);
		give_up(board, slot);
	}
}

void
sweep_abandon(struct scoreboard *board, int pid)
{
	for (int slot = 0; slot < SCOREBOARD_SLOTS; slot++) {
		struct scoreboard_row *row = &board->rows[slot];

		if (atomic_load(&row->swept_by) != pid)
			continue;
		if (atomic_load(&row->state) == WORKER_SWEEPING)
			atomic_store(&row->state, WORKER_DEAD);
		atomic_store(&row->swept_by, 0);
	}
}

/* --- the thread ------------------------------------------------------- */

struct sweeping {
	struct sweeper sweeper;
	struct db_options database;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t wake;
	bool stopping;
	pthread_t thread;
};

/* False: stopping. */
static bool
pause_between(struct sweeping *sweeping)
{
	struct timespec until;
	bool stopping;

	clock_in(PAUSE_MS, &until);
	pthread_mutex_lock(&sweeping->lock);
	if (!sweeping->stopping)
		(void)pthread_cond_clockwait(&sweeping->wake, &sweeping->lock,
		    CLOCK_MONOTONIC, &until); /* late or early: again */
	stopping = sweeping->stopping;
	pthread_mutex_unlock(&sweeping->lock);
	return !stopping;
}

static void *
run(void *arg)
{
	struct sweeping *sweeping = arg;

	do
		sweep_dead(&sweeping->sweeper);
	while (pause_between(sweeping));
	return NULL;
}

static void
sweeping_free(struct sweeping *sweeping)
{
	pthread_cond_destroy(&sweeping->wake);
	pthread_mutex_destroy(&sweeping->lock);
	free(sweeping);
}

enum err
sweep_start(const struct sweeper *sweeper, struct sweeping **out)
{
	struct sweeping *sweeping = calloc(1, sizeof(*sweeping));

	if (sweeping == NULL)
		return ERR_MEMORY;
	sweeping->sweeper = *sweeper;
	sweeping->database = *sweeper->database;
	sweeping->sweeper.database = &sweeping->database;
	pthread_mutex_init(&sweeping->lock, NULL);
	pthread_cond_init(&sweeping->wake, NULL);
	if (pthread_create(&sweeping->thread, NULL, run, sweeping) != 0) {
		log_error("cannot start the thread that sweeps");
		sweeping_free(sweeping);
		return ERR_SYSTEM;
	}
	*out = sweeping;
	return OK;
}

void
sweep_stop(struct sweeping *sweeping)
{
	if (sweeping == NULL)
		return;
	pthread_mutex_lock(&sweeping->lock);
	sweeping->stopping = true;
	pthread_cond_signal(&sweeping->wake);
	pthread_mutex_unlock(&sweeping->lock);
	pthread_join(sweeping->thread, NULL);
	sweeping_free(sweeping);
}
