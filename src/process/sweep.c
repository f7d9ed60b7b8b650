/*
 * sweep.c - writes down the ends of calls whose worker died.
 */
#include "process/sweep.h"

#include <pthread.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "llm/usage.h"

struct sweep {
	struct journal *journal;
	struct scoreboard_row *own; /* of the worker that sweeps */
	pthread_mutex_t lock;       /* guards what follows */
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

/* Says whether they all are. */
static bool
wait_a_second(struct sweep *sweep)
{
	struct timespec until;
	bool settled;

	(void)clock_gettime(CLOCK_MONOTONIC, &until); /* cannot fail */
	until.tv_sec++;
	pthread_mutex_lock(&sweep->lock);
	if (sweep->waiting > 0)
		(void)pthread_cond_clockwait(&sweep->settled, &sweep->lock,
		    CLOCK_MONOTONIC, &until); /* late or early: again */
	settled = sweep->waiting == 0;
	pthread_mutex_unlock(&sweep->lock);
	return settled;
}

/* The journal may take its time: whoever waits for it does not hang, and does
 * what a worker's tick does for those who wait with it. */
static void
wait_until_settled(struct sweep *sweep)
{
	do {
		atomic_store(&sweep->own->heartbeat_us,
		    (unsigned long long)clock_mono_us());
		journal_watch(sweep->journal);
	} while (!wait_a_second(sweep));
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

/* Only what was not answered: nobody can answer it now. */
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
	db_free(db);
	return err;
}

/* True: all its calls are written down. */
static bool
sweep_calls(const struct sweeper *sweeper, int slot)
{
	struct scoreboard *board = sweeper->board;
	struct sweep sweep = { .journal = sweeper->journal,
		.own = &board->rows[sweeper->own_slot],
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.settled = PTHREAD_COND_INITIALIZER };

	inflight_each(board->inflight[slot], write_end, &sweep);
	wait_until_settled(&sweep);
	if (sweep.failed > 0) {
		log_warn("%zu interrupted calls of a dead worker could not be "
			 "written down yet",
		    sweep.failed);
		return false;
	}
	inflight_empty(board->inflight[slot]);
	if (sweep.count > 0)
		log_info("%zu calls of a dead worker are marked interrupted",
		    sweep.count);
	return true;
}

/* ERR_BUSY: its calls are, and its life stays for who can release its keys. */
static enum err
sweep_slot(const struct sweeper *sweeper, int slot, bool away)
{
	struct scoreboard *board = sweeper->board;
	enum err err = OK;
	struct uuid life;

	if (!sweep_calls(sweeper, slot)) {
		atomic_store(&board->rows[slot].state, WORKER_DEAD);
		return OK;
	}
	if (inflight_life(board->inflight[slot], &life))
		err = away ? ERR_BUSY : release_keys(sweeper, &life);
	if (err == ERR_BUSY || err == ERR_TIMEOUT || err == ERR_MEMORY) {
		atomic_store(&board->rows[slot].state, WORKER_DEAD);
		return ERR_BUSY;
	}
	if (err != OK)
		log_warn("Idempotency-Keys of a dead worker stay taken until "
			 "they are too old: %s",
		    err_name(err));
	inflight_end(board->inflight[slot]);
	atomic_store(&board->rows[slot].state, WORKER_NONE);
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

void
sweep_dead(const struct sweeper *sweeper)
{
	bool away = false;
	enum err err;

	for (int slot = 0; slot < SCOREBOARD_SLOTS; slot++) {
		struct scoreboard_row *row = &sweeper->board->rows[slot];

		if (!claim(row))
			continue;
		err = sweep_slot(sweeper, slot, away);
		atomic_store(&row->swept_by, 0);
		if (err == OK)
			return;
		away = true; /* others may have calls nevertheless */
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
