/*
 * test_journal.c - acknowledged is durable, whatever PostgreSQL and the disk
 * do.
 */
#include "journal/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "journal/slot.h"
#include "journal_rows.h"

#define SUBMITTERS 16
#define EACH       250

static struct db *db;
static char dir[64];
static struct config config;
static struct journal *journal;

/* What done() said, of all records of a test. */
static struct {
	atomic_int count[3]; /* by enum durable */
	atomic_int submitted;
} said;

/* The disk of the spool. */
static atomic_bool syncs_fail;

static int
sync_it(long call, int fd)
{
	if (atomic_load(&syncs_fail)) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(call, fd);
}

int
fdatasync(int fd)
{
	return sync_it(SYS_fdatasync, fd);
}

int
fsync(int fd)
{
	return sync_it(SYS_fsync, fd);
}

static void
note(struct record *record, enum durable how)
{
	(void)record;
	atomic_fetch_add(&said.count[how], 1);
}

static int
count_done(void)
{
	return said.count[DURABLE_DB] + said.count[DURABLE_SPOOL] +
	       said.count[DURABLE_NONE];
}

static void
start_journal(void)
{
	config.database_url = scratch_url;
	cr_assert_eq(journal_start(&config, 0, NULL, &journal), OK);
}

static void
start(void)
{
	db = rows_database();
	(void)snprintf(dir, sizeof(dir), "/tmp/minuted-journal-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	config = (struct config){ .spool_dir = dir, .spool_max = 64 << 20 };
	start_journal();
}

static void
stop(void)
{
	journal_stop(journal);
	rows_remove_tree(dir);
	db_free(db);
	scratch_stop();
}

TestSuite(journal, .init = start, .fini = stop, .timeout = 120);

static enum err
submit(struct record *record)
{
	enum err err;

	record->done = note;
	err = journal_submit(journal, record);
	if (err == OK)
		atomic_fetch_add(&said.submitted, 1);
	else
		record_free(record);
	return err;
}

static void
await_all(void)
{
	for (int i = 0; i < 2000 && count_done() < said.submitted; i++)
		(void)usleep(5000);
	cr_assert_eq(count_done(), said.submitted);
}

static bool
is_up(void)
{
	struct journal_stats stats;

	journal_stats(journal, &stats);
	return stats.database_up;
}

static void
await_up(void)
{
	for (int i = 0; i < 1000 && !is_up(); i++)
		(void)usleep(10000);
	cr_assert(is_up());
}

/* PostgreSQL away for everybody but the administrator, and back. */
static void
go_away(void)
{
	char sql[256];

	(void)snprintf(sql, sizeof(sql),
	    "alter database %s allow_connections false;"
	    "select pg_terminate_backend(pid) from pg_stat_activity"
	    " where datname = '%s'",
	    scratch_name, scratch_name);
	scratch_do(scratch_admin, sql);
	(void)usleep(30000); /* a connection that was just being made */
	scratch_do(scratch_admin, sql);
}

static void
come_back(void)
{
	char sql[128];

	(void)snprintf(sql, sizeof(sql),
	    "alter database %s allow_connections true", scratch_name);
	scratch_do(scratch_admin, sql);
	for (int i = 0; i < 300 && db_connect(db) != OK; i++)
		(void)usleep(10000);
}

/* What the test saw committed when done() came. */
struct witness {
	struct db *db;
	atomic_int seen; /* 1 committed, -1 not */
};

static void
look(struct record *record, enum durable how)
{
	struct witness *witness = record->arg;
	bool there =
	    rows_hold(witness->db, "(select count(*) = 1 from minuted.events)");

	atomic_store(&witness->seen, there && how == DURABLE_DB ? 1 : -1);
}

Test(journal, done_comes_after_the_commit)
{
	struct witness witness = { .db = db };
	struct record *record = rows_event(rows_id(), "info");

	record->done = look;
	record->arg = &witness;
	cr_assert(journal_accepts(journal));
	cr_assert_eq(journal_submit(journal, record), OK);
	for (int i = 0; i < 1000 && witness.seen == 0; i++)
		(void)usleep(1000);
	cr_expect_eq(witness.seen, 1);
}

static struct record *
group_of(size_t count)
{
	struct record *first = NULL;

	for (size_t i = 0; i < count; i++) {
		struct record *record = rows_event(rows_id(), "info");

		record->done = note;
		record->next = first;
		first = record;
	}
	return first;
}

Test(journal, a_group_larger_than_a_batch_is_written_together)
{
	cr_assert_eq(journal_submit_all(journal, group_of(2500), 2500), OK);
	said.submitted = 2500;
	await_all();
	cr_expect_eq(said.count[DURABLE_DB], 2500);
	rows_expect(db, "(select count(*) = 2500 from minuted.events)");
	/* written by one statement: one transaction */
	rows_expect(db,
	    "(select count(distinct xmin::text) = 1 from minuted.events)");
}

Test(journal, more_than_the_queue_holds_is_refused_whole)
{
	const size_t many = JOURNAL_QUEUE_RECORDS + 1;
	struct record *first = group_of(many);
	struct journal_stats stats;

	cr_expect_eq(journal_submit_all(journal, first, many), ERR_BUSY);
	cr_expect_eq(journal_submit_all(journal, NULL, 0), ERR_BUG);
	journal_stats(journal, &stats);
	cr_expect_eq(stats.refused, many);
	cr_expect_eq(stats.queued, 0);
	while (first != NULL) {
		struct record *next = first->next;

		record_free(first);
		first = next;
	}
}

Test(journal, stopping_writes_what_is_queued)
{
	for (int i = 0; i < 3000; i++)
		cr_assert_eq(submit(rows_event(rows_id(), "info")), OK);
	journal_stop(journal);
	journal = NULL;
	cr_expect_eq(said.count[DURABLE_DB], 3000);
	rows_expect(db, "(select count(*) = 3000 from minuted.events)");
	journal_stop(NULL);
}

static void *
submit_many(void *arg)
{
	(void)arg;
	for (int i = 0; i < EACH; i++) {
		struct uuid id = rows_id();

		if (i % 3 == 0)
			(void)!submit(rows_event(id, "info"));
		else if (submit(rows_call(id, "running")) == OK)
			(void)!submit(rows_call(id, "completed"));
		if (i % 50 == 0)
			(void)usleep(20000);
	}
	return NULL;
}

static void
start_submitters(pthread_t threads[SUBMITTERS])
{
	for (int i = 0; i < SUBMITTERS; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, submit_many,
				 NULL),
		    0);
}

static void
join(pthread_t threads[SUBMITTERS])
{
	for (int i = 0; i < SUBMITTERS; i++)
		(void)pthread_join(threads[i], NULL);
}

/* Everything that the submitters made, once each. */
static void
expect_everything(void)
{
	char sql[256];
	int events = SUBMITTERS * ((EACH + 2) / 3);
	int calls = SUBMITTERS * EACH - events;

	(void)snprintf(sql, sizeof(sql),
	    "(select count(*) = %d from minuted.events) and (select count(*)"
	    " = %d from minuted.calls where status = 'completed')",
	    events, calls);
	rows_await(db, sql);
	rows_expect(db, "not exists (select from minuted.dead_letters)");
	(void)snprintf(sql, sizeof(sql),
	    "(select sum(calls) = %d from (select calls from"
	    " minuted.usage_deltas union all select calls from"
	    " minuted.usage_hourly) as u)",
	    events + calls);
	rows_expect(db, sql);
}

Test(journal, many_submitters_are_all_served)
{
	pthread_t threads[SUBMITTERS];
	struct journal_stats stats;

	start_submitters(threads);
	join(threads);
	await_all();
	cr_expect_eq(said.count[DURABLE_DB], said.submitted);
	expect_everything();
	journal_stats(journal, &stats);
	cr_expect_eq(stats.records, said.submitted);
	cr_expect_lt(stats.batches, stats.records);
}

Test(journal, an_outage_under_load_loses_and_doubles_nothing)
{
	pthread_t threads[SUBMITTERS];

	start_submitters(threads);
	for (int i = 0; i < 5; i++) {
		(void)usleep(15000);
		go_away();
		(void)usleep(15000);
		come_back();
	}
	join(threads);
	await_all();
	cr_expect_eq(said.count[DURABLE_NONE], 0);
	cr_expect_gt(said.count[DURABLE_SPOOL], 0);
	expect_everything();
}

Test(journal, ended_backends_are_hardly_noticed)
{
	pthread_t threads[SUBMITTERS];

	start_submitters(threads);
	for (int i = 0; i < 10; i++) {
		(void)usleep(10000);
		scratch_do(scratch_admin,
		    "select pg_terminate_backend(pid) from pg_stat_activity"
		    " where application_name = 'minuted journal'");
	}
	join(threads);
	await_all();
	cr_expect_eq(said.count[DURABLE_NONE], 0);
	expect_everything();
}

Test(journal, while_away_it_spools_and_then_delivers)
{
	struct uuid id = rows_id();
	struct journal_stats stats;
	int64_t back_us;

	cr_assert_eq(submit(rows_call(id, "running")), OK);
	await_all();
	go_away();
	cr_assert_eq(submit(rows_call(id, "completed")), OK);
	cr_assert_eq(submit(rows_event(rows_id(), "info")), OK);
	await_all();
	cr_expect_eq(said.count[DURABLE_SPOOL], 2);
	cr_expect_not(is_up());
	cr_expect(journal_accepts(journal));
	journal_stats(journal, &stats);
	cr_expect_gt(stats.spool_bytes, 0);
	come_back();
	back_us = clock_mono_us();
	await_up();
	cr_expect_lt(clock_mono_us() - back_us, 1500000);
	rows_await(db, "(select status = 'completed' from minuted.calls)");
	rows_await(db, "(select count(*) = 1 from minuted.events)");
	cr_assert_eq(submit(rows_event(rows_id(), "info")), OK);
	await_all();
	cr_expect_eq(said.count[DURABLE_DB], 2);
}

Test(journal, what_a_dead_worker_spooled_is_delivered_by_its_successor)
{
	go_away();
	for (int i = 0; i < 100; i++)
		cr_assert_eq(submit(rows_event(rows_id(), "info")), OK);
	await_all();
	journal_stop(journal);
	come_back();
	cr_assert_eq(journal_start(&config, 7, NULL, &journal), OK);
	rows_await(db, "(select count(*) = 100 from minuted.events)");
}

Test(journal, a_full_spool_refuses_instead_of_dropping)
{
	int refused = 0;
	char sql[128];

	journal_stop(journal);
	config.spool_max = 20000;
	start_journal();
	go_away();
	for (int i = 0; i < 200; i++) {
		if (submit(rows_event(rows_id(), "info")) != OK)
			refused++;
		await_all();
	}
	cr_expect_gt(said.count[DURABLE_SPOOL], 0);
	cr_expect_eq(said.count[DURABLE_NONE], 0);
	cr_expect_gt(refused, 0);
	cr_expect_not(journal_accepts(journal));
	come_back();
	await_up();
	(void)snprintf(sql, sizeof(sql),
	    "(select count(*) = %d from minuted.events)",
	    said.count[DURABLE_SPOOL]);
	rows_await(db, sql);
	cr_expect(journal_accepts(journal));
	cr_assert_eq(submit(rows_event(rows_id(), "info")), OK);
	await_all();
	cr_expect_eq(said.count[DURABLE_DB], 1);
}

Test(journal, without_a_spool_there_is_no_place_while_away)
{
	journal_stop(journal);
	config.spool_dir = NULL;
	start_journal();
	go_away();
	(void)!submit(rows_event(rows_id(), "info"));
	await_all();
	cr_expect_eq(said.count[DURABLE_NONE], said.submitted);
	cr_expect_not(journal_accepts(journal));
	cr_expect_eq(submit(rows_event(rows_id(), "info")), ERR_BUSY);
	come_back();
	await_up();
	cr_expect(journal_accepts(journal));
}

static void
await_sure(void)
{
	for (int i = 0; i < 1000 && !journal_is_sure(journal); i++)
		(void)usleep(10000);
	cr_assert(journal_is_sure(journal));
}

Test(journal, it_is_sure_of_a_place_with_postgresql_and_a_disk_that_was_tried)
{
	cr_expect_not(journal_is_sure(journal), "the disk was not tried");
	await_sure();
	go_away();
	(void)usleep(100000);
	cr_expect_not(journal_is_sure(journal), "before a record found out");
	cr_expect(journal_accepts(journal), "there is the spool");
	cr_assert_eq(submit(rows_event(rows_id(), "info")), OK);
	await_all();
	cr_expect_eq(said.count[DURABLE_SPOOL], 1);
	cr_expect_not(journal_is_sure(journal), "one place is one");
	come_back();
	await_sure();
}

Test(journal, an_ended_connection_alone_is_not_postgresql_away)
{
	char sql[256];

	await_sure();
	(void)snprintf(sql, sizeof(sql),
	    "select pg_terminate_backend(pid) from pg_stat_activity"
	    " where datname = '%s' and application_name = 'minuted keeper'",
	    scratch_name);
	scratch_do(scratch_admin, sql);
	for (int i = 0; i < 30; i++) {
		(void)usleep(10000);
		cr_expect(is_up());
	}
	await_sure();
}

Test(journal, without_a_spool_it_is_never_sure)
{
	journal_stop(journal);
	config.spool_dir = NULL;
	start_journal();
	cr_expect_not(journal_is_sure(journal));
	cr_expect(journal_accepts(journal));
}

Test(journal, what_is_kept_at_once_or_not_is_not_tried_again)
{
	struct record *record = rows_event(rows_id(), "info");
	int64_t began_us;

	go_away();
	atomic_store(&syncs_fail, true);
	record->at_once = true;
	began_us = clock_mono_us();
	cr_assert_eq(submit(record), OK);
	await_all();
	cr_expect_eq(said.count[DURABLE_NONE], 1);
	cr_expect_lt(clock_mono_us() - began_us, 1000000);
	cr_expect_not(journal_accepts(journal));
	atomic_store(&syncs_fail, false);
	for (int i = 0; i < 300 && !journal_accepts(journal); i++)
		(void)usleep(10000);
	cr_expect(journal_accepts(journal), "it was tried again");
	come_back();
}

Test(journal, a_database_that_hangs_is_left_in_time)
{
	int64_t began_us = clock_mono_us();

	cr_assert_eq(db_begin(db), OK);
	scratch_do(db, "lock table minuted.usage_deltas");
	cr_assert_eq(submit(rows_event(rows_id(), "info")), OK);
	await_all();
	cr_expect_lt(clock_mono_us() - began_us, 3500000);
	cr_expect_eq(said.count[DURABLE_SPOOL], 1);
	db_rollback(db);
	rows_await(db, "(select count(*) = 1 from minuted.events)");
	await_up();
}

/* Every statement that writes events takes half a second more. */
static void
slow_down(void)
{
	scratch_do(db,
	    "create function minuted.slow() returns trigger language plpgsql"
	    " as $$ begin perform pg_sleep(0.5); return null; end $$;"
	    "create trigger slow after insert on minuted.events"
	    " for each statement execute function minuted.slow()");
}

static size_t
queued(void)
{
	struct journal_stats stats;

	journal_stats(journal, &stats);
	return stats.queued;
}

Test(journal, who_was_told_to_send_again_is_not_written_from_the_queue)
{
	struct record *group = rows_event(rows_id(), "info");
	struct record *last = rows_event(rows_id(), "info");

	slow_down();
	cr_assert_eq(submit(rows_event(rows_id(), "info")), OK);
	for (int i = 0; i < 1000 && queued() > 0; i++)
		(void)usleep(1000);
	group->next = last;
	last->hurried = true;
	last->done = note;
	cr_assert_eq(journal_submit_all(journal, group, 2), OK);
	cr_assert_eq(submit(rows_event(rows_id(), "info")), OK);
	cr_assert_eq(queued(), 3, "the first is being written");
	journal_watch(journal);
	cr_expect_eq(count_done(), 0, "they wait a little only");
	group->queued_us = 0;
	last->queued_us = 0;
	journal_watch(journal);
	cr_expect_eq(said.count[DURABLE_NONE], 1);
	cr_expect_eq(queued(), 1);
	said.submitted++;
	await_all();
	cr_expect_eq(said.count[DURABLE_DB], 2);
	cr_expect(rows_hold(db, "(select count(*) = 2 from minuted.events)"));
}

Test(journal, at_a_slow_pace_what_would_wait_too_long_is_not_in_time)
{
	slow_down();
	cr_expect(journal_is_in_time(journal));
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(submit(rows_event(rows_id(), "info")), OK);
		await_all();
	}
	cr_expect(journal_is_in_time(journal), "half a second is");
	for (int i = 0; i < 40 * JOURNAL_BATCH_RECORDS; i++)
		cr_assert_eq(submit(rows_event(rows_id(), "info")), OK);
	cr_expect_not(journal_is_in_time(journal));
	scratch_do(db, "drop trigger slow on minuted.events");
	await_all();
	cr_expect(journal_is_in_time(journal));
}

Test(journal, poison_is_kept_aside_and_stops_nobody)
{
	struct record *bad = rows_event(rows_id(), "nonsense");

	cr_assert_eq(submit(rows_event(rows_id(), "info")), OK);
	cr_assert_eq(submit(bad), OK);
	cr_assert_eq(submit(rows_event(rows_id(), "info")), OK);
	await_all();
	cr_expect_eq(said.count[DURABLE_DB], 3);
	rows_expect(db, "(select count(*) = 2 from minuted.events)");
	rows_expect(db, "(select count(*) = 1 from minuted.dead_letters)");
}

Test(journal, poison_in_the_spool_stops_nobody_either)
{
	struct journal_stats stats;

	go_away();
	cr_assert_eq(submit(rows_event(rows_id(), "info")), OK);
	cr_assert_eq(submit(rows_event(rows_id(), "nonsense")), OK);
	cr_assert_eq(submit(rows_event(rows_id(), "info")), OK);
	await_all();
	come_back();
	rows_await(db, "(select count(*) = 2 from minuted.events)");
	rows_await(db, "(select count(*) = 1 from minuted.dead_letters)");
	await_up();
	journal_stats(journal, &stats);
	cr_expect_eq(stats.dead_letters, 1);
}

Test(journal, what_no_table_takes_is_kept_in_the_spool_and_stops_nobody)
{
	struct journal_stats stats;

	rows_refuse_dead_letters(db);
	cr_assert_eq(submit(rows_event(rows_id(), "nonsense")), OK);
	await_all();
	cr_expect_eq(said.count[DURABLE_SPOOL], 1);
	await_up();
	cr_assert_eq(submit(rows_event(rows_id(), "info")), OK);
	await_all();
	cr_expect_eq(said.count[DURABLE_DB], 1);
	journal_stats(journal, &stats);
	cr_expect_eq(stats.corrupt, 1);
	cr_expect_eq(stats.dead_letters, 0);
}

Test(journal, another_instance_on_the_same_spool_does_not_start)
{
	struct journal *other = NULL;

	cr_expect_eq(journal_start(&config, 0, NULL, &other), ERR_CONFLICT);
	cr_expect_null(other);
}

Test(journal, its_slot_is_locked_from_its_end_until_it_is_stopped)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	cr_assert_geq(fd, 0);
	journal_end(journal);
	journal_end(journal);
	cr_expect(slot_is_held(fd, 0));
	journal_stop(journal);
	cr_expect_not(slot_is_held(fd, 0));
	(void)close(fd);
	start_journal();
}
