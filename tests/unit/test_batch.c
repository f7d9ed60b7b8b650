/*
 * test_batch.c - records into PostgreSQL: each row once, each end counted
 * once, and what is refused buried.
 */
#include "journal/batch.h"

#include <pthread.h>

#include "base/codec.h"
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

static struct record *
fresh(struct uuid id, const char *status)
{
	struct record *record = rows_call(id, status);

	record->is_new = true;
	return record;
}

Test(batch, new_calls_arrive_as_others_do)
{
	WRITE(fresh(rows_id(), "completed"), fresh(rows_id(), "failed"),
	    fresh(rows_id(), "cancelled"));
	WRITE(rows_call(rows_id(), "completed"), rows_call(rows_id(), "failed"),
	    rows_call(rows_id(), "cancelled"));
	/* two of each, alike in everything but id and times */
	rows_expect(db,
	    "(select array_agg(n) = array[2, 2, 2]::bigint[] from (select"
	    " count(*) as n from minuted.calls group by key_id, kind, provider,"
	    " model, upstream_model, status, stream, prompt_tokens,"
	    " completion_tokens, cached_tokens, reasoning_tokens, estimated,"
	    " cost_pico, latency_us, first_token_us, http_status, error,"
	    " end_user, metadata::text, finished_at) as x)");
	rows_expect(db,
	    "(select array_agg(n) = array[2, 2, 2]::bigint[] from (select"
	    " count(*) as n from minuted.call_texts join minuted.calls"
	    " using (user_id, id) where response = status"
	    " group by request, response) as x)");
	rows_expect(db,
	    "(select count(*) = 2 and count(distinct (d.*)::text) = 1"
	    " from minuted.usage_deltas as d)");
	rows_expect(db,
	    "(select bool_and((calls, failed, prompt_tokens, completion_tokens,"
	    " uncompleted_prompt_tokens, uncompleted_completion_tokens,"
	    " cost_pico, cost_unknown, latency_us) = (3, 2, 9, 12, 6, 8, 15, 0,"
	    " 5100000)) from minuted.usage_deltas)");
}

Test(batch, a_call_said_to_be_new_that_is_there_changes_nothing)
{
	struct uuid id = rows_id();

	WRITE(fresh(id, "completed"), fresh(rows_id(), "completed"));
	WRITE(fresh(id, "failed"), fresh(rows_id(), "completed"));
	WRITE(fresh(id, "failed"));
	rows_expect(db, "(select count(*) = 3 from minuted.calls)");
	rows_expect(db, "(select sum(calls) = 3 from minuted.usage_deltas)");
	rows_expect(db, "(select count(*) = 0 from minuted.calls"
			" where status = 'failed')");
}

Test(batch, a_new_call_and_its_end_may_come_at_once)
{
	struct uuid ids[2] = { rows_id(), rows_id() };

	WRITE(rows_call(ids[0], "completed"), fresh(ids[0], "running"),
	    fresh(ids[1], "running"), rows_call(ids[1], "completed"));
	rows_expect(db, "(select count(*) = 2 from minuted.calls"
			" where status = 'completed')");
	rows_expect(db, "(select sum(calls) = 2 from minuted.usage_deltas)");
}

Test(batch, a_new_call_that_is_refused_is_buried_alone)
{
	struct record *bad = fresh(rows_id(), "no status");

	WRITE(fresh(rows_id(), "completed"), bad,
	    fresh(rows_id(), "completed"));
	cr_expect_eq(buried, 1);
	rows_expect(db, "(select count(*) = 2 from minuted.calls)");
	rows_expect(db, "(select sum(calls) = 2 from minuted.usage_deltas)");
	rows_expect(db, "(select count(*) = 1 from minuted.dead_letters)");
}

Test(batch, a_new_call_alone_arrives_as_others_do)
{
	const char *const statuses[] = { "completed", "failed", "running" };

	for (size_t i = 0; i < 3; i++) {
		WRITE(fresh(rows_id(), statuses[i]));
		WRITE(rows_call(rows_id(), statuses[i]));
	}
	rows_expect(db,
	    "(select array_agg(n) = array[2, 2, 2]::bigint[] from (select"
	    " count(*) as n from minuted.calls group by key_id, kind, provider,"
	    " model, upstream_model, status, stream, prompt_tokens,"
	    " completion_tokens, cached_tokens, reasoning_tokens, estimated,"
	    " cost_pico, latency_us, first_token_us, http_status, error,"
	    " end_user, metadata::text, finished_at) as x)");
	rows_expect(db,
	    "(select array_agg(n) = array[2, 2, 2]::bigint[] from (select"
	    " count(*) as n from minuted.call_texts join minuted.calls"
	    " using (user_id, id) where response = status"
	    " group by request, response) as x)");
	rows_expect(db,
	    "(select array_agg(n) = array[2, 2]::bigint[] from (select"
	    " count(*) as n from minuted.usage_deltas as d"
	    " group by (d.*)::text) as x)");
}

Test(batch, a_new_call_with_little_in_it_is_counted_as_by_copy)
{
	for (size_t i = 0; i < 3; i++) {
		const struct call_row row = { .user_id = rows_user,
			.id = rows_id(),
			.kind = "chat.completion",
			.status = "failed",
			.prompt_tokens = -1,
			.completion_tokens = -1,
			.cost_pico = -1,
			.latency_us = -1,
			.started_us = 1 };
		struct record *record[3] = { NULL };

		cr_assert_eq(record_call(&row, &record[0]), OK);
		record[0]->is_new = true;
		if (i == 2) /* by copy: with one that is not counted */
			record[1] = fresh(rows_id(), "running");
		cr_assert_eq(write_all(record), OK);
	}
	rows_expect(db,
	    "(select count(*) = 3 and count(distinct (d.*)::text) = 1"
	    " and sum(cost_unknown) = 3 from minuted.usage_deltas as d)");
	rows_expect(db, "(select count(*) = 1 from minuted.call_texts)");
}

Test(batch, a_new_call_alone_that_is_there_is_counted_once)
{
	struct uuid ids[2] = { rows_id(), rows_id() };

	WRITE(fresh(ids[0], "completed"));
	WRITE(fresh(ids[0], "completed"));
	WRITE(fresh(ids[0], "failed"));
	WRITE(fresh(ids[1], "running"));
	WRITE(fresh(ids[1], "failed")); /* its end, all the same */
	rows_expect(db, "(select array_agg(status order by status) ="
			" '{completed,failed}' from minuted.calls)");
	rows_expect(db, "(select (sum(calls), sum(failed)) = (2, 1)"
			" from minuted.usage_deltas)");
	cr_expect_eq(buried, 0);
}

Test(batch, a_new_call_alone_that_is_refused_is_buried)
{
	struct record *broken = fresh(rows_id(), "completed");

	broken->line[40] = 'x'; /* the id is none any more */
	WRITE(fresh(rows_id(), "no status"));
	WRITE(broken);
	cr_expect_eq(buried, 2);
	rows_expect(db, "not exists (select from minuted.calls)");
	rows_expect(db, "not exists (select from minuted.call_texts)");
	rows_expect(db, "not exists (select from minuted.usage_deltas)");
	rows_expect(db, "(select array_agg(sqlstate order by sqlstate) ="
			" '{22P02,23514}' from minuted.dead_letters)");
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

/* The end of the running call id is refused; as another user's? */
static void
refuse_end(struct uuid id, bool others)
{
	struct record *bad = rows_call(id, "no status");
	struct uuid other = rows_id();
	char text[UUID_TEXT_SIZE];

	uuid_text(&other, text);
	if (others)
		memcpy(bad->line, text, UUID_TEXT_SIZE - 1);
	else
		*strchr(bad->line, '.') = '\t'; /* a field too many */
	WRITE(bad);
}

Test(batch, a_call_whose_end_is_refused_has_ended)
{
	struct uuid id = rows_id();

	WRITE(rows_call(id, "running"));
	refuse_end(id, true);
	rows_expect(db, "(select status = 'running' from minuted.calls)");
	refuse_end(id, false);
	rows_expect(db, "(select status = 'interrupted' from minuted.calls)");
}

Test(batch, a_refused_end_is_kept_once_though_its_call_cannot_be_ended)
{
	struct uuid id = rows_id();

	WRITE(rows_call(id, "running"));
	scratch_do(db,
	    "create function full_disk() returns trigger language plpgsql as"
	    " $$ begin raise sqlstate '53100'; end $$;"
	    "create trigger full_disk before update on minuted.calls"
	    " for each row execute function full_disk()");
	refuse_end(id, false);
	cr_expect_eq(buried, 1);
	rows_expect(db, "(select count(*) = 1 from minuted.dead_letters)");
}

Test(batch, a_constraint_buries_too)
{
	WRITE(rows_event(rows_id(), "nonsense"));
	cr_expect_eq(buried, 1);
	rows_expect(db,
	    "(select sqlstate = '23514' from minuted.dead_letters)");
	rows_expect(db, "not exists (select from minuted.usage_deltas)");
}

/* Refuses every event, with words of 400 bytes, two a letter. */
static void
refuse_events(void)
{
	scratch_do(db,
	    "create function refuse() returns trigger language plpgsql as"
	    " $$ begin raise exception using"
	    " message = repeat(U&'\\00e4', 200); end $$;"
	    "create trigger refuse before insert on minuted.events"
	    " for each row execute function refuse()");
}

Test(batch, a_reason_that_has_to_be_cut_is_cut_between_characters)
{
	refuse_events();
	WRITE(rows_event(rows_id(), "info"));
	cr_expect_eq(buried, 1);
	rows_expect(db, "(select (sqlstate, reason) = ('P0001',"
			" repeat(U&'\\00e4', 127)) from minuted.dead_letters)");
}

Test(batch, a_reason_that_is_refused_is_the_state_alone)
{
	refuse_events();
	scratch_do(db, "alter table minuted.dead_letters add constraint short"
		       " check (length(reason) < 6)");
	WRITE(rows_event(rows_id(), "info"));
	cr_expect_eq(buried, 1);
	rows_expect(db, "(select (sqlstate, reason) = ('P0001', 'P0001')"
			" from minuted.dead_letters)");
}

Test(batch, what_is_refused_again_is_buried_once)
{
	struct record *bad = rows_event(rows_id(), "nonsense");
	struct record_view view = rows_view(bad);

	for (int i = 0; i < 3; i++)
		cr_assert_eq(batch_write(db, &view, 1, &buried), OK);
	WRITE(rows_event(rows_id(), "nonsense"));
	cr_expect_eq(buried, 2);
	rows_expect(db, "(select count(*) = 2 from minuted.dead_letters)");
	record_free(bad);
}

Test(batch, what_was_buried_before_a_timeout_is_not_buried_after_it)
{
	struct db *slow = scratch_connect(scratch_url, 300);
	struct record *bad = rows_call(rows_id(), "no status");
	struct record *good = rows_event(rows_id(), "info");
	struct record_view views[] = { rows_view(bad), rows_view(good) };

	cr_assert_eq(db_begin(db), OK);
	scratch_do(db, "lock table minuted.events");
	for (int i = 0; i < 3; i++)
		cr_expect_eq(batch_write(slow, views, 2, &buried), ERR_TIMEOUT);
	db_rollback(db);
	cr_expect_eq(batch_write(slow, views, 2, &buried), OK);
	cr_expect_eq(buried, 1);
	rows_expect(db, "(select count(*) = 1 from minuted.dead_letters) and"
			" (select count(*) = 1 from minuted.events)");
	record_free(bad);
	record_free(good);
	db_free(slow);
}

/* Another worker, and a transaction that it meets. */
struct other {
	struct record_view view;
	struct db *holder;
	pthread_t thread;
	uint64_t buried;
	enum err err;
};

static void *
write_beside(void *arg)
{
	struct other *other = arg;
	struct db *own = scratch_connect(scratch_url, 20000);

	other->err = batch_write(own, &other->view, 1, &other->buried);
	db_free(own);
	return NULL;
}

/* Writes beside what the holder has done, which is committed when that waits. */
static void
meet(struct other *other)
{
	pthread_create(&other->thread, NULL, write_beside, other);
	rows_await(db, "exists (select from pg_locks as l join pg_stat_activity"
		       " as a using (pid) where not l.granted and a.datname ="
		       " current_database())");
	cr_assert_eq(db_commit(other->holder), OK);
	pthread_join(other->thread, NULL);
	cr_expect_eq(other->err, OK);
	db_free(other->holder);
}

static struct db *
begin_beside(void)
{
	struct db *holder = scratch_connect(scratch_url, 20000);

	cr_assert_eq(db_begin(holder), OK);
	return holder;
}

Test(batch, what_two_bury_at_once_is_buried_once)
{
	struct record *bad = rows_event(rows_id(), "nonsense");
	struct other other = { .view = rows_view(bad) };
	char *hex = malloc(2 * bad->len + 1);
	const char *args[] = { "event", hex, "23514", "" };

	cr_assert_not_null(hex);
	codec_hex(bad->line, bad->len, hex);
	other.holder = begin_beside();
	cr_assert_eq(db_query(other.holder, DB_JOURNAL_BURY, args, NULL), OK);
	meet(&other);
	cr_expect_eq(other.buried, 0);
	rows_expect(db, "(select count(*) = 1 from minuted.dead_letters)");
	free(hex);
	record_free(bad);
}

/* A row for the default partition waits for the partition of its month, and is
 * none of the default one's then. */
Test(batch, a_lone_record_is_not_buried_while_its_partition_is_made)
{
	struct uuid id = rows_id();
	struct other other = { 0 };
	struct record *record;

	id.bytes[0] = 1;
	id.bytes[1] = 0; /* of December 2004 */
	record = rows_call(id, "completed");
	other.view = rows_view(record);
	other.holder = begin_beside();
	scratch_do(other.holder,
	    "select minuted.partition_add('calls', m) from generate_series"
	    "(timestamptz '2004-10-01', '2005-03-01', '1 month') as m");
	meet(&other);
	cr_expect_eq(other.buried, 0);
	rows_expect(db, "(select count(*) = 1 from minuted.calls)");
	rows_expect(db, "not exists (select from minuted.dead_letters)");
	record_free(record);
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
