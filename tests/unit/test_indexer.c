/*
 * test_indexer.c - pages for searches: what is written is found, whenever it
 * is written.
 */
#include "journal/indexer.h"

#include "journal/batch.h"
#include "journal/grams.h"
#include "journal_rows.h"

#define USER "01990304-0506-7008-8000-000000000000"

static struct db *db;
static struct indexer indexer;
static atomic_bool stop;

static void
start(void)
{
	db = rows_database();
	scratch_do(db, "insert into minuted.users (id, username, password_hash)"
		       " values ('" USER "', 'ann', '$argon2id$x')");
	atomic_init(&stop, false);
	indexer_init(&indexer, db, &stop);
}

static void
finish(void)
{
	db_free(db);
	scratch_stop();
}

TestSuite(indexer, .init = start, .fini = finish);

/* Two hours of events, the newest an hour old. */
static void
add_events(int count)
{
	char sql[512];

	(void)snprintf(sql, sizeof(sql),
	    "insert into minuted.events (user_id, id, subject, level, message,"
	    " logged_at) select '" USER "', minuted.uuid_floor(at), 'me',"
	    " 'info', 'entry ' || n || ' of the book', at from"
	    " (select n, now() - '1 hour'::interval - n * '1 s'::interval"
	    " from generate_series(1, %d) n) rows (n, at)",
	    count);
	scratch_do(db, sql);
}

static void
run(void)
{
	cr_assert_eq(indexer_run(&indexer, 10000000), OK, "%s",
	    db_fault(db)->message);
}

/* Searching for text in events finds so many; -1: it looks everywhere. */
static void
expect_found(const char *text, int count)
{
	int32_t b[GRAMS_WANTED];
	char sql[512];

	cr_assert(grams_wanted(text, strlen(text), b));
	(void)snprintf(sql, sizeof(sql),
	    "coalesce(cardinality(minuted.search_events('" USER "', 51, null,"
	    " null, null, null, null, null, '%%%s%%',"
	    " '{%d,%d,%d,%d,%d,%d,%d,%d}')), -1) = %d",
	    text, b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], count);
	rows_expect(db, sql);
}

static struct record *
event(int64_t ms, const char *message)
{
	struct event_row row = { .user_id = rows_user,
		.id = rows_id(),
		.subject = "me",
		.level = "info",
		.message = message,
		.logged_us = clock_wall_us() };
	struct record *record = NULL;

	for (int i = 0; i < 6; i++)
		row.id.bytes[i] = (uint8_t)(ms >> (40 - 8 * i));
	cr_assert_eq(record_event(&row, &record), OK);
	return record;
}

/* An event with an id of that time, which is long ago. */
static void
write_event(int64_t ms, const char *message)
{
	struct record *record = event(ms, message);
	struct record_view view = rows_view(record);
	uint64_t buried = 0;

	cr_expect_eq(batch_write(db, &view, 1, &buried), OK);
	record_free(record);
}

Test(indexer, the_old_is_in_pages_and_found_there)
{
	add_events(2500);
	expect_found("entry 1234 of", -1);
	run();
	rows_expect(db, "(select count(*) from minuted.search_pages) = 2");
	rows_expect(db, "(select count(*) from minuted.search_marks) = 1");
	expect_found("entry 1234 of", 1);
	expect_found("ENTRY 2222 OF", 1);
	expect_found("entry 3 of", 1); /* in no page */
	expect_found("of the book", 51);
	expect_found("zeppelin", 0);
	rows_expect(db, "(select count(*) from minuted.search_places('" USER
			"', 'events', '{0,0,0,0,0,0,0,0}')) < 3");
}

Test(indexer, few_rows_are_no_page)
{
	add_events(99);
	run();
	rows_expect(db, "not exists (select from minuted.search_pages)");
}

Test(indexer, what_comes_late_is_found_at_once_and_when_it_is_in_a_page)
{
	int64_t hour_ago_ms = clock_wall_us() / 1000 - 3700000;

	add_events(1000);
	run();
	write_event(hour_ago_ms, "a zeppelin");
	rows_expect(db, "(select count(*) from minuted.search_late) = 1");
	expect_found("zeppelin", 1);
	for (int i = 0; i < 199; i++)
		write_event(hour_ago_ms + i, "an airship");
	expect_found("airship", 51);
	scratch_do(db, "update minuted.search_late set"
		       " noted_at = now() - '1 hour'::interval");
	indexer.look_at_us = 0;
	scratch_do(db, "insert into minuted.usage_deltas (user_id, hour,"
		       " key_id, kind, calls) values ('" USER "', now(), '" USER
		       "', 'x', 0)");
	run();
	rows_expect(db, "not exists (select from minuted.search_late)");
	rows_expect(db, "(select count(*) from minuted.search_pages) = 2");
	expect_found("zeppelin", 1);
	expect_found("airship", 51);
}

Test(indexer, what_is_written_in_time_is_not_late)
{
	write_event(clock_wall_us() / 1000 - 5000, "now");
	rows_expect(db, "not exists (select from minuted.search_late)");
}

Test(indexer, texts_of_calls_have_pages_too)
{
	scratch_do(db,
	    "insert into minuted.calls (user_id, id, kind, status, started_at)"
	    " select '" USER "', minuted.uuid_floor(at), 'chat', 'completed',"
	    " at from (select now() - '1 hour'::interval - n * '1 s'::interval"
	    " from generate_series(1, 1000) n) rows (at)");
	scratch_do(db, "insert into minuted.call_texts (user_id, id, request,"
		       " response) select user_id, id, 'said at '"
		       " || started_at, null from minuted.calls");
	run();
	rows_expect(db, "(select count(*) from minuted.search_pages"
			" where what = 'texts') = 1");
}

Test(indexer, a_clock_that_was_ahead_hides_nothing)
{
	add_events(1000);
	run();
	scratch_do(db,
	    "update minuted.search_marks set"
	    " upto = minuted.uuid_floor(now() + '1 hour'::interval)");
	write_event(clock_wall_us() / 1000 - 5000, "a zeppelin");
	expect_found("zeppelin", 1);
	indexer.look_at_us = 0;
	run();
	rows_expect(db, "(select upto < minuted.uuid_floor(now())"
			" from minuted.search_marks)");
	expect_found("zeppelin", 1);
}

Test(indexer, only_one_makes_pages)
{
	struct db *other = scratch_connect(scratch_url, 5000);
	struct indexer second;

	add_events(1000);
	indexer_init(&second, other, &stop);
	indexer.look_at_us = 0;
	run();
	scratch_do(db, "truncate minuted.search_pages, minuted.search_marks");
	cr_expect_eq(indexer_run(&second, 10000000), OK);
	rows_expect(db, "not exists (select from minuted.search_pages)");
	db_free(other);
}

Test(indexer, who_is_to_stop_makes_none)
{
	add_events(1000);
	atomic_store(&stop, true);
	run();
	rows_expect(db, "not exists (select from minuted.search_pages)");
}

/* A number of events that came so long ago with ids of that time. */
static void
add_late(int count, const char *id_age, const char *noted_age)
{
	char sql[1024];

	(void)snprintf(sql, sizeof(sql),
	    "insert into minuted.search_late (user_id, what, id, noted_at)"
	    " select '" USER "', 'events', minuted.uuid_floor(at),"
	    " now() - '%s'::interval from (select now() - '%s'::interval"
	    " - n * '1 s'::interval from generate_series(1, %d) n) ids (at);"
	    "insert into minuted.events (user_id, id, subject, level, message,"
	    " logged_at) select user_id, id, 'me', 'info', 'a zeppelin', now()"
	    " from minuted.search_late",
	    noted_age, id_age, count);
	cr_assert_eq(db_script(db, sql), OK, "%s", db_fault(db)->message);
}

Test(indexer, the_few_that_came_late_are_not_late_for_ever)
{
	add_events(1000);
	run();
	add_late(3, "9 days", "2 days");
	indexer.look_at_us = 0;
	run();
	rows_expect(db, "not exists (select from minuted.search_late)");
	expect_found("zeppelin", 3);
}

Test(indexer, where_very_many_came_late_another_way_is_taken)
{
	add_events(1000);
	run();
	add_late(2000, "9 days", "1 s");
	expect_found("zeppelin", -1);
}

Test(indexer, what_is_kept_for_its_time_is_found_whatever_its_id)
{
	add_events(1000);
	run();
	add_late(200, "10000 days", "1 hour");
	indexer.look_at_us = 0;
	run();
	rows_expect(db, "not exists (select from minuted.search_late)");
	scratch_do(db, "select minuted.partitions_drop(90)");
	rows_expect(db, "(select count(*) from minuted.events"
			" where message = 'a zeppelin') = 200");
	expect_found("zeppelin", 51);
	scratch_do(db, "update minuted.search_pages set"
		       " newest = now() - '91 days'::interval"
		       " where newest > now() - '1 minute'::interval");
	scratch_do(db, "select minuted.partitions_drop(90)");
	rows_expect(db, "(select count(*) from minuted.search_pages) = 1");
}

Test(indexer, long_texts_are_read_once)
{
	struct db *fresh;

	scratch_do(db, "alter table minuted.call_texts_default"
		       " alter column request set storage external");
	scratch_do(db,
	    "insert into minuted.call_texts (user_id, id, request)"
	    " select '" USER "', minuted.uuid_floor('1970-01-01'::timestamptz"
	    " + n * '1 s'::interval), repeat('text ', 8000)"
	    " from generate_series(1, 150) n");
	scratch_do(db, "select pg_stat_force_next_flush()");
	run();
	scratch_do(db, "select pg_stat_force_next_flush()");
	rows_expect(db, "(select count(*) from minuted.search_pages) = 75");
	fresh = scratch_connect(scratch_url, 5000);
	/* of 21 blocks each, and their index */
	rows_expect(fresh,
	    "(select toast_blks_hit + toast_blks_read"
	    " from pg_statio_user_tables"
	    " where relname = 'call_texts_default') < 150 * 21 * 4");
	db_free(fresh);
}

Test(indexer, a_database_whose_clock_is_ahead_has_no_more_in_pages)
{
	char two_hours_ago[CLOCK_TEXT_SIZE];
	const char *look[] = { NULL, "100", "180", two_hours_ago };
	const char *page[] = { USER, "00000000-0000-0000-0000-000000000000",
		"1000", "180", "65536", two_hours_ago };
	struct db_rows *rows = NULL;

	add_events(1000);
	run();
	clock_text(clock_wall_us() - INT64_C(7200000000), two_hours_ago);
	cr_assert_eq(db_query(db, DB_SEARCH_EVENTS, page, &rows), OK);
	cr_expect_eq(rows_count(rows), 0);
	rows_free(rows);
	cr_assert_eq(db_query(db, DB_SEARCH_DUE, look, &rows), OK);
	cr_expect_eq(rows_count(rows), 0);
	rows_free(rows);
	rows_expect(db, "(select upto < minuted.uuid_floor(now()"
			" - '2 hours'::interval) from minuted.search_marks)");
}
