/*
 * test_batch.c - records into PostgreSQL: each row once, each end counted
 * once, and what is refused buried.
 */
#include "journal/batch.h"

#include "journal_rows.h"

static struct db *db;
static uint64_t buried;

static void
start(void)
{
	db = rows_database();
	buried = 0;
}

static void
stop(void)
{
	db_free(db);
	scratch_stop();
}

TestSuite(batch, .init = start, .fini = stop);

/* Writes and frees records, up to a NULL. */
static enum err
write_all(struct record **records)
{
	struct record_view views[64] = { 0 };
	size_t count = 0;
	enum err err;

	while (records[count] != NULL) {
		views[count] = rows_view(records[count]);
		count++;
	}
	err = batch_write(db, views, count, &buried);
	while (count > 0)
		record_free(records[--count]);
	return err;
}

#define WRITE(...) \
	cr_assert_eq(write_all((struct record *[]){ __VA_ARGS__, NULL }), OK)

Test(batch, nothing_is_fine)
{
	cr_expect_eq(batch_write(db, NULL, 0, &buried), OK);
	cr_expect_eq(batch_warm(db), OK);
	rows_expect(db, "not exists (select from minuted.usage_deltas)");
}

Test(batch, a_call_arrives_with_its_texts_and_is_counted)
{
	WRITE(rows_call(rows_id(), "completed"));
	rows_expect(db,
	    "(select (provider, model, status, prompt_tokens, cached_tokens,"
	    " metadata->>'a') = ('echo', 'echo-1', 'completed', 3, null, "
	    "E'\\n')"
	    " is not false from minuted.calls)");
	rows_expect(db,
	    "(select (request, response) = (E'hi\\there\\n\\\\', 'completed')"
	    " from minuted.call_texts)");
	rows_expect(db,
	    "(select (calls, failed, prompt_tokens, completion_tokens,"
	    " cost_pico, cost_unknown, latency_us) = (1, 0, 3, 4, 5, 0,"
	    " 1700000) from minuted.usage_deltas)");
	rows_expect(db,
	    "(select latency_counts[15] = 1 and cardinality(latency_counts) ="
	    " 25 from minuted.usage_deltas)");
}

Test(batch, the_same_again_changes_nothing)
{
	struct uuid id = rows_id();

	for (int i = 0; i < 3; i++)
		WRITE(rows_call(id, "completed"));
	WRITE(rows_call(id, "failed"), rows_call(id, "completed"));
	rows_expect(db, "(select count(*) = 1 from minuted.calls)");
	rows_expect(db, "(select sum(calls) = 1 from minuted.usage_deltas)");
	rows_expect(db, "(select status = 'completed' from minuted.calls)");
}

Test(batch, an_end_replaces_running_and_is_replaced_by_nothing)
{
	struct uuid id = rows_id();

	WRITE(rows_call(id, "running"));
	rows_expect(db, "(select status = 'running' from minuted.calls)");
	rows_expect(db, "not exists (select from minuted.usage_deltas)");
	WRITE(rows_call(id, "running"));
	WRITE(rows_call(id, "cancelled"));
	WRITE(rows_call(id, "running"));
	WRITE(rows_call(id, "interrupted"));
	rows_expect(db, "(select status = 'cancelled' from minuted.calls)");
	rows_expect(db,
	    "(select response = 'cancelled' from minuted.call_texts)");
	rows_expect(db, "(select sum(calls) = 1 from minuted.usage_deltas)");
}

Test(batch, an_end_wins_in_its_own_batch)
{
	struct uuid id = rows_id();

	WRITE(rows_call(id, "failed"), rows_call(id, "running"));
	rows_expect(db, "(select status = 'failed' from minuted.calls)");
	rows_expect(db, "(select sum(failed) = 1 from minuted.usage_deltas)");
}

Test(batch, events_arrive_once_and_are_counted_by_level)
{
	struct uuid id = rows_id();

	WRITE(rows_event(id, "info"), rows_event(rows_id(), "error"),
	    rows_event(id, "info"));
	WRITE(rows_event(id, "info"));
	rows_expect(db, "(select count(*) = 2 from minuted.events)");
	rows_expect(db,
	    "(select array_agg(kind || calls order by kind) ="
	    " '{event:error1,event:info1}' from minuted.usage_deltas)");
	rows_expect(db,
	    "(select bool_and(message = E'it\\nbegan') from minuted.events)");
}

Test(batch, calls_and_events_go_together)
{
	WRITE(rows_event(rows_id(), "info"), rows_call(rows_id(), "running"),
	    rows_event(rows_id(), "info"));
	rows_expect(db, "(select count(*) = 2 from minuted.events) and"
			" (select count(*) = 1 from minuted.calls)");
}

static struct record *
with_metadata(const char *metadata)
{
	const struct event_row row = { .user_id = rows_user,
		.id = rows_id(),
		.subject = "s",
		.level = "info",
		.message = "m",
		.metadata = metadata,
		.logged_us = 1 };
	struct record *record = NULL;

	cr_assert_eq(record_event(&row, &record), OK);
	return record;
}

Test(batch, a_culprit_is_buried_and_the_others_go_in)
{
	struct record *records[62] = { NULL };
	struct record *bad = rows_call(rows_id(), "completed");

	for (size_t i = 0; i < 60; i++)
		records[i] = i % 20 == 7 ? with_metadata("{no json")
					 : rows_event(rows_id(), "info");
	bad->line[40]++; /* the id is none any more */
	bad->line[45] = 'x';
	records[60] = bad;
	cr_assert_eq(write_all(records), OK);
	cr_expect_eq(buried, 4);
	rows_expect(db, "(select count(*) = 57 from minuted.events)");
	rows_expect(db, "(select array_agg(kind || sqlstate order by id) ="
			" '{call22P02,event22P02,event22P02,event22P02}'"
			" from minuted.dead_letters)");
	rows_expect(db, "(select bool_and(convert_from(record, 'UTF8') like"
			" E'%{no json%\\n') from minuted.dead_letters where "
			"kind = 'event')");
}

Test(batch, a_constraint_buries_too)
{
	WRITE(rows_event(rows_id(), "nonsense"));
	cr_expect_eq(buried, 1);
	rows_expect(db,
	    "(select sqlstate = '23514' from minuted.dead_letters)");
	rows_expect(db, "not exists (select from minuted.usage_deltas)");
}

Test(batch, a_schema_that_is_wrong_buries_nothing)
{
	struct record *record = rows_event(rows_id(), "info");
	struct record_view view = rows_view(record);

	scratch_do(db, "alter table minuted.events rename to elsewhere");
	cr_expect_eq(batch_write(db, &view, 1, &buried), ERR_BUSY);
	cr_expect_eq(buried, 0);
	scratch_do(db, "alter table minuted.elsewhere rename to events");
	cr_expect_eq(batch_write(db, &view, 1, &buried), OK);
	record_free(record);
}

Test(batch, a_database_that_is_away_is_busy)
{
	struct db *away =
	    scratch_connect("host=/nonexistent dbname=x connect_timeout=1",
		1000);
	struct record *record = rows_event(rows_id(), "info");
	struct record_view view = rows_view(record);

	cr_expect_eq(batch_write(away, &view, 1, &buried), ERR_BUSY);
	cr_expect_eq(batch_warm(away), ERR_BUSY);
	record_free(record);
	db_free(away);
}

Test(batch, a_locked_table_times_out)
{
	struct db *slow = scratch_connect(scratch_url, 300);
	struct record *record = rows_event(rows_id(), "info");
	struct record_view view = rows_view(record);

	cr_assert_eq(db_begin(db), OK);
	scratch_do(db, "lock table minuted.usage_deltas");
	cr_expect_eq(batch_write(slow, &view, 1, &buried), ERR_TIMEOUT);
	db_rollback(db);
	cr_expect_eq(batch_write(slow, &view, 1, &buried), OK);
	rows_expect(db, "(select count(*) = 1 from minuted.events)");
	record_free(record);
	db_free(slow);
}
