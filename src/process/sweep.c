/*
 * sweep.c - writes down the ends of calls whose worker died.
 */
#include "process/sweep.h"

#include <pthread.h>
#include <unistd.h>

#include "base/log.h"


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
write_end(void *arg, const struct call_row *row)
{
	struct sweep *sweep = arg;
	struct record *record = NULL;
	enum err err = record_call(row, &record);

	sweep->count++;
	if (err == OK) {
		record->done = record_done;
		record->arg = sweep;
		pthread_mutex_lock(&sweep->lock);
		sweep->waiting++;
		pthread_mutex_unlock(&sweep->lock);
		err = journal_submit(sweep->journal, record);
	}
	if (err == OK)
		return;
	pthread_mutex_lock(&sweep->lock);
	if (record != NULL)
		sweep->waiting--;
	sweep->failed++;
	pthread_mutex_unlock(&sweep->lock);
	record_free(record);
}

static void
wait_until_settled(struct sweep *sweep)
{
	pthread_mutex_lock(&sweep->lock);
	while (sweep->waiting > 0)
		pthread_cond_wait(&sweep->settled, &sweep->lock);
	pthread_mutex_unlock(&sweep->lock);
}

static void
sweep_slot(struct scoreboard *board, int slot, struct journal *journal)
{
	struct sweep sweep = { .journal = journal,
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
	atomic_store(&board->rows[slot].swept_by, 0);
	if (sweep.count > 0)
		log_info("%zu calls of a dead worker are marked interrupted",
		    sweep.count);
	atomic_store(&board->rows[slot].state, WORKER_NONE);
}

void
sweep_dead(struct scoreboard *board, struct journal *journal)
{
	for (int slot = 0; slot < SCOREBOARD_SLOTS; slot++) {
		struct scoreboard_row *row = &board->rows[slot];
		int expected = WORKER_DEAD;

		if (atomic_load(&row->state) != WORKER_DEAD)
			continue;
		if (!atomic_compare_exchange_strong(&row->state, &expected,
			WORKER_SWEEPING))
			continue;
		atomic_store(&row->swept_by, (int)getpid());
		sweep_slot(board, slot, journal);
		return;
	}
}

void
sweep_abandon(struct scoreboard *board, int pid)
{
	for (int slot = 0; slot < SCOREBOARD_SLOTS; slot++) {
		struct scoreboard_row *row = &board->rows[slot];

		int by = atomic_load(&row->swept_by);

		/* 0: it died, or is, between claiming the slot and saying so;
		 * sweeping twice writes the same records, which is harmless */
		if (atomic_load(&row->state) == WORKER_SWEEPING &&
		    (by == pid || by == 0)) {
			atomic_store(&row->swept_by, 0);
			atomic_store(&row->state, WORKER_DEAD);
		}
	}
}
