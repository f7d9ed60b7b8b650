/*
 * test_sweep.c - the calls of a dead worker, and a journal that is short of
 * places.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/uuid.h"
#include "process/sweep.h"

#define CALLS  8
#define PLACES 3
#define OTHER  4711 /* the pid of another worker */

/* A journal with few places, emptied by a thread. */
struct journal {
	pthread_mutex_t lock;
	struct record *held[PLACES];
	int count;
	int written;
	bool hangs;
	bool stop;
	pthread_t thread;
};

enum err
journal_submit(struct journal *journal, struct record *record)
{
	enum err err = ERR_BUSY;

	pthread_mutex_lock(&journal->lock);
	if (journal->count < PLACES) {
		journal->held[journal->count++] = record;
		err = OK;
	}
	pthread_mutex_unlock(&journal->lock);
	return err;
}

static void *
write_records(void *arg)
{
	struct journal *journal = arg;
	bool stop;

	do {
		usleep(20000);
		pthread_mutex_lock(&journal->lock);
		while (journal->hangs) {
			pthread_mutex_unlock(&journal->lock);
			usleep(5000);
			pthread_mutex_lock(&journal->lock);
		}
		for (int i = 0; i < journal->count; i++) {
			journal->written++;
			journal->held[i]->done(journal->held[i], DURABLE_DB);
			record_free(journal->held[i]);
		}
		journal->count = 0;
		stop = journal->stop;
		pthread_mutex_unlock(&journal->lock);
	} while (!stop);
	return NULL;
}

struct bench {
	struct journal journal;
	struct scoreboard *board;
	struct sweeper sweeper;
};

/* PostgreSQL is away: calls are written down nevertheless. */
static const struct db_options nowhere = { .url = "host=/nonexistent",
	.application = "test" };

static void
start(struct bench *bench)
{
	struct call_row row = { .kind = "chat.completion",
		.provider = "p",
		.model = "m",
		.upstream_model = "m",
		.status = "running" };

	memset(bench, 0, sizeof(*bench));
	log_setup(LOG_ERROR, "test");
	pthread_mutex_init(&bench->journal.lock, NULL);
	bench->board = scoreboard_map(NULL, CALLS);
	cr_assert_not_null(bench->board);
	bench->sweeper = (struct sweeper){ .board = bench->board,
		.journal = &bench->journal,
		.database = &nowhere };
	cr_assert_eq(uuid_make(&row.user_id), OK);
	for (int i = 0; i < CALLS; i++) {
		cr_assert_eq(uuid_make(&row.id), OK);
		cr_assert_not_null(inflight_enter(bench->board->inflight[1],
		    &row));
	}
	atomic_store(&bench->board->rows[1].state, WORKER_DEAD);
	pthread_create(&bench->journal.thread, NULL, write_records,
	    &bench->journal);
}

static void
stop(struct bench *bench)
{
	pthread_mutex_lock(&bench->journal.lock);
	bench->journal.stop = true;
	pthread_mutex_unlock(&bench->journal.lock);
	pthread_join(bench->journal.thread, NULL);
	scoreboard_unmap(bench->board);
}

Test(sweep, more_calls_than_the_journal_has_places_for_are_all_written)
{
	struct bench bench;

	start(&bench);
	sweep_dead(&bench.sweeper);
	cr_expect_eq(bench.journal.written, CALLS);
	cr_expect_eq(atomic_load(&bench.board->rows[1].state), WORKER_NONE);
	cr_expect_eq(inflight_count(bench.board->inflight[1]), 0);
	stop(&bench);
}

static void
set_hangs(struct journal *journal, bool hangs)
{
	pthread_mutex_lock(&journal->lock);
	journal->hangs = hangs;
	pthread_mutex_unlock(&journal->lock);
}

Test(sweep, a_journal_that_hangs_holds_up_only_the_thread_that_sweeps)
{
	struct sweeping *sweeping;
	struct bench bench;

	start(&bench);
	set_hangs(&bench.journal, true);
	cr_assert_eq(sweep_start(&bench.sweeper, &sweeping), OK);
	while (atomic_load(&bench.board->rows[1].state) != WORKER_SWEEPING)
		usleep(1000);
	set_hangs(&bench.journal, false);
	sweep_stop(sweeping); /* waits until it has swept */
	cr_expect_eq(bench.journal.written, CALLS);
	cr_expect_eq(atomic_load(&bench.board->rows[1].state), WORKER_NONE);
	stop(&bench);
}

/* A life that was cut off, in slot 2. */
static void
cut_off(struct bench *bench)
{
	struct uuid life;

	cr_assert_eq(uuid_make(&life), OK);
	inflight_begin(bench->board->inflight[2], &life);
	scoreboard_retire(bench->board, 2);
	cr_assert_eq(atomic_load(&bench->board->rows[2].state), WORKER_DEAD);
}

Test(sweep, a_life_waits_for_postgresql_with_its_keys)
{
	struct bench bench;

	start(&bench);
	cut_off(&bench);
	for (int i = 0; i < 2; i++) {
		sweep_dead(&bench.sweeper);
		cr_expect_eq(atomic_load(&bench.board->rows[2].state),
		    WORKER_DEAD);
		cr_expect(inflight_is_left(bench.board->inflight[2]));
		cr_expect_eq(atomic_load(&bench.board->rows[2].swept_by), 0);
	}
	stop(&bench);
}

Test(sweep, a_life_that_waits_keeps_no_other_from_being_swept)
{
	struct bench bench;

	start(&bench);
	cut_off(&bench);
	inflight_begin(bench.board->inflight[1],
	    &(struct uuid){ .bytes = { 1 } });
	for (int i = 0; i < 2; i++)
		sweep_dead(&bench.sweeper);
	cr_expect_eq(bench.journal.written, CALLS, "once, not each time");
	cr_expect_eq(inflight_count(bench.board->inflight[1]), 0);
	cr_expect(inflight_is_left(bench.board->inflight[1]));
	stop(&bench);
}

Test(sweep, a_slot_is_swept_by_one_at_a_time)
{
	struct bench bench;

	start(&bench);
	atomic_store(&bench.board->rows[1].swept_by, OTHER);
	sweep_dead(&bench.sweeper);
	cr_expect_eq(bench.journal.written, 0, "another has it");
	sweep_abandon(bench.board, OTHER + 1);
	sweep_dead(&bench.sweeper);
	cr_expect_eq(bench.journal.written, 0, "another still has it");
	atomic_store(&bench.board->rows[1].state, WORKER_SWEEPING);
	sweep_abandon(bench.board, OTHER);
	sweep_dead(&bench.sweeper);
	cr_expect_eq(bench.journal.written, CALLS);
	cr_expect_eq(atomic_load(&bench.board->rows[1].swept_by), 0);
	stop(&bench);
}
