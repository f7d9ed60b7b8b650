/*
 * test_replay.c - segments into PostgreSQL: what is good is delivered, what is
 * damaged is kept.
 *
 * This program's own read() stands in for the disk.
 */
#include "journal/replay.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>

#include "journal/segment.h"
#include "journal/slot.h"
#include "journal_rows.h"

#define NAME "01990000-0000-7000-8000-000000000000" SEGMENT_SUFFIX

static struct db *db;
static char dir[64];
static int dir_fd;
static struct replay replay;
static int failing_reads; /* the next so many fail with EIO */

ssize_t
read(int fd, void *bytes, size_t len)
{
	if (failing_reads > 0) {
		failing_reads--;
		errno = EIO;
		return -1;
	}
	return syscall(SYS_read, fd, bytes, len);
}

static void
start(void)
{
	db = rows_database();
	(void)snprintf(dir, sizeof(dir), "/tmp/minuted-replay-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY);
	cr_assert_geq(dir_fd, 0);
	replay_init(&replay, db);
}

static void
stop(void)
{
	(void)close(dir_fd);
	rows_remove_tree(dir);
	db_free(db);
	scratch_stop();
}

TestSuite(replay, .init = start, .fini = stop);

static void
fill(struct buf *out, size_t events)
{
	buf_init(out, 64 << 20);
	segment_add_header(out, &(struct uuid){ { 1 } });
	for (size_t i = 0; i < events; i++) {
		struct record *record = rows_event(rows_id(), "info");
		struct record_view view = rows_view(record);

		segment_add_record(out, &view);
		record_free(record);
	}
	cr_assert(buf_ok(out));
}

static void
save(const struct buf *bytes)
{
	int fd = openat(dir_fd, NAME, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	cr_assert_geq(fd, 0);
	cr_assert_eq(slot_write(fd, bytes->data, bytes->len), OK);
	(void)close(fd);
}

static void
save_events(size_t events)
{
	struct buf bytes;

	fill(&bytes, events);
	save(&bytes);
	buf_fini(&bytes);
}

static bool
exists(const char *name)
{
	return faccessat(dir_fd, name, F_OK, 0) == 0;
}

Test(replay, everything_is_delivered_in_batches)
{
	save_events(2 * REPLAY_BATCH_MAX + 345);
	cr_assert_eq(replay_segment(&replay, dir_fd, NAME), OK);
	cr_expect_eq(replay.records, 2 * REPLAY_BATCH_MAX + 345);
	rows_expect(db, "(select count(*) = 2345 from minuted.events)");
	cr_assert_eq(replay_segment(&replay, dir_fd, NAME), OK);
	rows_expect(db, "(select count(*) = 2345 from minuted.events)");
	rows_expect(db, "(select sum(calls) = 2345 from minuted.usage_deltas)");
}

Test(replay, ten_thousand_a_second)
{
	int64_t began_us;

	save_events(20000);
	began_us = clock_mono_us();
	cr_assert_eq(replay_segment(&replay, dir_fd, NAME), OK);
	cr_expect_lt(clock_mono_us() - began_us, 2000000);
}

Test(replay, damage_is_kept_and_the_rest_delivered)
{
	struct buf bytes;

	fill(&bytes, 100);
	bytes.data[bytes.len / 2] ^= 1;
	save(&bytes);
	cr_assert_eq(replay_segment(&replay, dir_fd, NAME), OK);
	cr_expect_eq(replay.corrupt, 1);
	rows_expect(db, "(select count(*) = 99 from minuted.events)");
	cr_expect(exists(NAME SLOT_BAD_SUFFIX));
	cr_assert_eq(slot_remove(dir_fd, NAME), OK);
	cr_expect(exists(NAME SLOT_BAD_SUFFIX));
	buf_fini(&bytes);
}

Test(replay, what_no_table_takes_is_kept_and_the_rest_delivered)
{
	struct record *bad = rows_event(rows_id(), "nonsense");
	struct record_view view = rows_view(bad);
	struct buf bytes;

	fill(&bytes, 10);
	segment_add_record(&bytes, &view);
	bytes.data[bytes.len / 2] ^= 1;
	save(&bytes);
	rows_refuse_dead_letters(db);
	cr_assert_eq(replay_segment(&replay, dir_fd, NAME), OK);
	cr_expect_eq(replay.corrupt, 2);
	cr_expect_eq(replay.buried, 0);
	rows_expect(db, "(select count(*) = 9 from minuted.events)");
	cr_assert_eq(renameat(dir_fd, NAME SLOT_BAD_SUFFIX, dir_fd, NAME), 0);
	scratch_do(db,
	    "alter table minuted.dead_letters drop constraint none_at_all");
	cr_assert_eq(replay_segment(&replay, dir_fd, NAME), OK);
	cr_expect_eq(replay.buried, 1, "it can still be read");
	buf_fini(&bytes);
	record_free(bad);
}

Test(replay, a_torn_tail_is_no_damage)
{
	struct buf bytes;

	fill(&bytes, 10);
	bytes.len -= 20;
	save(&bytes);
	cr_assert_eq(replay_segment(&replay, dir_fd, NAME), OK);
	cr_expect_eq(replay.corrupt, 0);
	cr_expect_not(exists(NAME SLOT_BAD_SUFFIX));
	rows_expect(db, "(select count(*) = 9 from minuted.events)");
	buf_fini(&bytes);
}

Test(replay, what_the_disk_does_not_give_back_stays_as_it_is)
{
	save_events(10);
	failing_reads = 1;
	errno = 0;
	cr_expect_eq(replay_segment(&replay, dir_fd, NAME), ERR_SYSTEM);
	cr_expect_eq(errno, EIO);
	cr_expect_eq(replay.corrupt, 0);
	cr_expect(exists(NAME));
	cr_expect_not(exists(NAME SLOT_BAD_SUFFIX));
	cr_assert_eq(replay_segment(&replay, dir_fd, NAME), OK);
	rows_expect(db, "(select count(*) = 10 from minuted.events)");
}

/* A row takes a millisecond. */
static void
be_slow(void)
{
	scratch_do(db,
	    "create function minuted.wait() returns trigger language plpgsql"
	    " as $$ begin perform pg_sleep(0.001); return new; end $$;"
	    "create trigger wait before insert on minuted.events"
	    " for each row execute function minuted.wait()");
}

Test(replay, a_slow_postgresql_takes_it_all_without_trying_the_same_again)
{
	struct db *slow = scratch_connect(scratch_url, 400);
	enum err err = ERR_TIMEOUT;
	int rounds = 0;

	be_slow();
	replay.db = slow;
	save_events(2500);
	while (err == ERR_TIMEOUT && rounds++ < 6)
		err = replay_segment(&replay, dir_fd, NAME);
	cr_expect_eq(err, OK);
	cr_expect_eq(replay.records, 2500, "%llu in %d rounds",
	    (unsigned long long)replay.records, rounds);
	rows_expect(db, "(select count(*) = 2500 from minuted.events)");
	db_free(slow);
}

Test(replay, a_timeout_makes_batches_smaller_and_success_larger)
{
	struct db *slow = scratch_connect(scratch_url, 200);

	replay.db = slow;
	save_events(REPLAY_BATCH_MAX);
	cr_assert_eq(db_begin(db), OK);
	scratch_do(db, "lock table minuted.events");
	cr_expect_eq(replay_segment(&replay, dir_fd, NAME), ERR_TIMEOUT);
	cr_expect_eq(replay.batch, REPLAY_BATCH_MAX / 2);
	db_rollback(db);
	cr_expect_eq(replay_segment(&replay, dir_fd, NAME), OK);
	cr_expect_eq(replay.batch, REPLAY_BATCH_MAX / 2, "in this segment");
	rows_expect(db, "(select count(*) = 1000 from minuted.events)");
	cr_expect_eq(replay_segment(&replay, dir_fd, NAME), OK);
	cr_expect_eq(replay.batch, REPLAY_BATCH_MAX, "in the next");
	db_free(slow);
}

Test(replay, a_lock_leaves_batches_as_they_are)
{
	struct db *slow = db_new(&(struct db_options){ .url = scratch_url,
	    .application = "minuted test",
	    .statement_ms = 5000,
	    .lock_ms = 100 });

	replay.db = slow;
	save_events(10);
	cr_assert_eq(db_begin(db), OK);
	scratch_do(db, "lock table minuted.events");
	cr_expect_eq(replay_segment(&replay, dir_fd, NAME), ERR_TIMEOUT);
	cr_expect_eq(replay.batch, REPLAY_BATCH_MAX);
	db_rollback(db);
	cr_expect_eq(replay_segment(&replay, dir_fd, NAME), OK);
	db_free(slow);
}

Test(replay, what_is_less_than_a_batch_becomes_smaller_too)
{
	struct db *slow = scratch_connect(scratch_url, 400);
	enum err err = ERR_TIMEOUT;
	int rounds = 0;

	be_slow();
	replay.db = slow;
	save_events(700);
	while (err == ERR_TIMEOUT && rounds++ < 6)
		err = replay_segment(&replay, dir_fd, NAME);
	cr_expect_eq(err, OK);
	db_free(slow);
}

/* Until a segment was begun and PostgreSQL was too slow for more. */
static struct db *
leave_begun(void)
{
	struct db *slow = scratch_connect(scratch_url, 400);

	be_slow();
	replay.db = slow;
	replay.batch = 20;
	save_events(3000);
	cr_assert_eq(replay_segment(&replay, dir_fd, NAME), ERR_TIMEOUT);
	cr_assert_geq(replay.done, 20);
	cr_expect_eq(replay.records, replay.done);
	return slow;
}

Test(replay, a_segment_that_is_another_is_delivered_from_its_start)
{
	const size_t events[] = { 700, 10 };
	struct db *slow = leave_begun();

	db_free(slow);
	for (size_t i = 0; i < 2; i++) {
		struct replay begun = replay;

		scratch_do(db, "truncate minuted.events");
		save_events(events[i]);
		begun.db = db;
		cr_expect_eq(replay_segment(&begun, dir_fd, NAME), ERR_BUSY);
		cr_expect_eq(replay_segment(&begun, dir_fd, NAME), OK);
		rows_expect(db,
		    i == 0 ? "(select count(*) = 700 from minuted.events)"
			   : "(select count(*) = 10 from minuted.events)");
	}
}

/* As where PostgreSQL becomes slow after the first batch. */
static enum err
late_once(void *arg)
{
	return (*(int *)arg)++ == 0 ? ERR_TIMEOUT : OK;
}

Test(replay, what_no_table_takes_is_kept_after_a_timeout_too)
{
	struct record *bad = rows_event(rows_id(), "nonsense");
	struct record_view view = rows_view(bad);
	struct buf bytes;
	int batches = 0;

	buf_init(&bytes, 1 << 20);
	segment_add_header(&bytes, &(struct uuid){ { 1 } });
	segment_add_record(&bytes, &view);
	segment_add_record(&bytes, &view);
	save(&bytes);
	rows_refuse_dead_letters(db);
	replay.batch = 1;
	replay.progress = late_once;
	replay.arg = &batches;
	cr_expect_eq(replay_segment(&replay, dir_fd, NAME), ERR_TIMEOUT);
	cr_expect_eq(replay_segment(&replay, dir_fd, NAME), OK);
	cr_expect_eq(replay.corrupt, 2);
	cr_expect(exists(NAME SLOT_BAD_SUFFIX));
	buf_fini(&bytes);
	record_free(bad);
}

static enum err
enough(void *arg)
{
	(*(int *)arg)++;
	return ERR_GONE;
}

Test(replay, progress_can_end_it)
{
	int calls = 0;

	replay.progress = enough;
	replay.arg = &calls;
	save_events(REPLAY_BATCH_MAX + 1);
	cr_expect_eq(replay_segment(&replay, dir_fd, NAME), ERR_GONE);
	cr_expect_eq(calls, 1);
	rows_expect(db, "(select count(*) = 1000 from minuted.events)");
}

Test(replay, what_is_not_there_is_missing)
{
	cr_expect_eq(replay_segment(&replay, dir_fd, NAME), ERR_MISSING);
}
