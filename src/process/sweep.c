/*
 * sweep.c - writes down the ends of calls whose worker died.
 */
#include "process/sweep.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

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

/* The journal may take its time: whoever waits for it does not hang. */
static void
wait_until_settled(struct sweep *sweep)
{
	struct timespec until;

	pthread_mutex_lock(&sweep->lock);
	while (sweep->waiting > 0) {
		atomic_store(&sweep->own->heartbeat_us,
		    (unsigned long long)clock_mono_us());
		(void)clock_gettime(CLOCK_MONOTONIC, &until); /* cannot fail */
		until.tv_sec++;
		(void)pthread_cond_clockwait(&sweep->settled, &sweep->lock,
		    CLOCK_MONOTONIC, &until); /* late or early: again */
	}
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
	struct record *record = NULL;
	enum err err = record_call(row, &record);

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

static void
sweep_slot(struct scoreboard *board, int slot, int own_slot,
    struct journal *journal)
{
	struct sweep sweep = { .journal = journal,
		.own = &board->rows[own_slot],
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.settled = PTHREAD_COND_INITIALIZER };

	inflight_each(board->inflight[slot], write_end, &sweep);
	wait_until_settled(&sweep);
	if (sweep.failed > 0) {
		log_warn("%zu interrupted calls of a dead worker could not be "
			 "written down yet",
		    sweep.failed);
		atomic_store(&board->rows[slot].state, WORKER_DEAD);
		return;
	}
	inflight_clear(board->inflight[slot]);
	if (sweep.count > 0)
		log_info("%zu calls of a dead worker are marked interrupted",
		    sweep.count);
	atomic_store(&board->rows[slot].state, WORKER_NONE);
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

	if (atomic_load(&row->state) != WORKER_DEAD ||
	    !atomic_compare_exchange_strong(&row->swept_by, &nobody,
		(int)getpid()))
		return false;
	if (atomic_load(&row->state) == WORKER_DEAD) {
		atomic_store(&row->state, WORKER_SWEEPING);
		return true;
	}
	atomic_store(&row->swept_by, 0); /* somebody has just done it */
	return false;
}

void
sweep_dead(struct scoreboard *board, int own_slot, struct journal *journal)
{
	for (int slot = 0; slot < SCOREBOARD_SLOTS; slot++) {
		if (!claim(&board->rows[slot]))
			continue;
		sweep_slot(board, slot, own_slot, journal);
		atomic_store(&board->rows[slot].swept_by, 0);
		return;
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
