/*
 * test_migrate.c - the schema, on a database of its own each.
 */
#include "db/migrate.h"

#include <poll.h>
#include <pthread.h>

#include "base/buf.h"
#include "scratch_db.h"

static struct db *db;

static void
start(void)
{
	scratch_start();
	db = scratch_connect(scratch_url, 30000);
	cr_assert_eq(migrate_run(db), OK, "%s", db_fault(db)->message);
}

static void
stop(void)
{
	db_free(db);
	scratch_stop();
}

static void
start_again(void)
{
	scratch_do(db,
	    "drop schema minuted cascade; drop schema admin cascade");
}

TestSuite(migrate, .init = start, .fini = stop);

static enum migrate_state
state(void)
{
	enum migrate_state state = MIGRATE_NONE;

	cr_assert_eq(migrate_check(db, &state), OK, "%s",
	    db_fault(db)->message);
	return state;
}

Test(migrate, an_empty_database_has_no_schema)
{
	start_again();
	cr_expect_eq(state(), MIGRATE_NONE);
	cr_assert_eq(migrate_run(db), OK, "%s", db_fault(db)->message);
	cr_expect_eq(state(), MIGRATE_CURRENT);
}

Test(migrate, the_workers_role_may_ask_whether_the_schema_fits)
{
	scratch_do(db, "set role minuted_worker");
	cr_expect_eq(state(), MIGRATE_CURRENT);
}

Test(migrate, a_second_run_does_nothing)
{
	scratch_do(db,
	    "create table public.before as"
	    " select *, xmin::text as version from minuted.migrations;"
	    "create table public.prices as"
	    " select *, xmin::text as version from minuted.prices");
	cr_expect_eq(migrate_run(db), OK);
	scratch_do(db, "do $$ begin assert not exists ("
		       " select *, xmin::text from minuted.migrations"
		       " except select * from public.before);"
		       " assert not exists ("
		       " select *, xmin::text from minuted.prices"
		       " except select * from public.prices); end $$");
}

static void *
run(void *arg)
{
	struct db *own = scratch_connect(scratch_url, 60000);
	enum err *err = arg;

	*err = migrate_run(own);
	db_free(own);
	return NULL;
}

Test(migrate, concurrent_runs_are_harmless)
{
	enum err errs[3] = { ERR_BUG, ERR_BUG, ERR_BUG };
	pthread_t threads[3];

	start_again();
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, run, &errs[i]);
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		cr_expect_eq(errs[i], OK);
	}
	cr_expect_eq(state(), MIGRATE_CURRENT);
}

Test(migrate, a_missing_migration_is_an_old_database)
{
	scratch_do(db,
	    "delete from minuted.migrations where name = '0006_catalog'");
	cr_expect_eq(state(), MIGRATE_TOO_OLD);
	cr_expect_eq(migrate_run(db), ERR_CONFLICT, "its rows are there");
	cr_expect_eq(state(), MIGRATE_TOO_OLD, "nothing of it was kept");
}

/* Of a program that does not know that it may be there already. */
static const char bury[] =
    "insert into minuted.dead_letters (kind, record, sqlstate, reason)"
    " select kind, 'r', '22021', '' from unnest('{call,call,event}'::text[])"
    " as kind";

Test(migrate, dead_letters_that_were_kept_twice_stay_and_no_third_one_comes)
{
	scratch_do(db,
	    "delete from minuted.migrations where name = '0019_buried_once';"
	    "drop trigger dead_letters_once on minuted.dead_letters;"
	    "drop function minuted.bury_once();"
	    "drop index minuted.dead_letters_by_record");
	scratch_do(db, bury);
	cr_assert_eq(migrate_run(db), OK, "%s", db_fault(db)->message);
	scratch_do(db, bury);
	scratch_do(db, "do $$ begin assert (select count(*) = 3"
		       " from minuted.dead_letters); end $$");
	scratch_do(db, "truncate minuted.dead_letters");
	scratch_do(db, bury);
	scratch_do(db, "do $$ begin assert (select count(*) = 2"
		       " from minuted.dead_letters); end $$");
}

Test(migrate, a_newer_database_is_served_unless_marked_breaking)
{
	scratch_do(db, "insert into minuted.migrations (name, checksum)"
		       " values ('9998_more', '')");
	cr_expect_eq(state(), MIGRATE_CURRENT);
	cr_expect_eq(migrate_run(db), OK);
	scratch_do(db, "insert into minuted.migrations (name, checksum)"
		       " values ('9999_other_breaking', '')");
	cr_expect_eq(state(), MIGRATE_TOO_NEW);
	cr_expect_eq(migrate_run(db), ERR_CONFLICT);
}

Test(migrate, a_newer_program_keeps_its_views)
{
	scratch_do(db, "update minuted.migrations set checksum = 'other'"
		       " where name = 'admin.sql';"
		       "insert into minuted.migrations (name, checksum)"
		       " values ('9998_more', '')");
	cr_expect_eq(migrate_run(db), OK);
	scratch_do(db,
	    "do $$ begin assert (select checksum = 'other'"
	    " from minuted.migrations where name = 'admin.sql'); end $$");
}

Test(migrate, views_are_loaded_again_when_their_text_changed)
{
	scratch_do(db, "update minuted.migrations set checksum = 'other'"
		       " where name = 'admin.sql'; drop view admin.keys");
	cr_expect_eq(migrate_run(db), OK, "%s", db_fault(db)->message);
	scratch_do(db, "table admin.keys");
}

Test(migrate, every_state_has_a_text)
{
	for (int i = MIGRATE_CURRENT; i <= MIGRATE_NONE; i++)
		cr_expect_gt(strlen(migrate_state_text((enum migrate_state)i)),
		    10);
}

Test(migrate, a_database_that_is_away_is_no_state)
{
	struct db *nowhere =
	    scratch_connect("host=/nonexistent dbname=x user=x", 1000);
	enum migrate_state seen = MIGRATE_CURRENT;

	cr_expect_eq(migrate_check(nowhere, &seen), ERR_BUSY);
	cr_expect_eq(migrate_run(nowhere), ERR_BUSY);
	db_free(nowhere);
}

/* Planning it needs the tables, columns and types; running it, the grants. */
static void
explain(const struct db_statement *statement)
{
	struct buf sql;

	buf_init(&sql, (size_t)1024 * 1024);
	buf_addf(&sql, "prepare seen_%s as %s", statement->name,
	    statement->text);
	scratch_do(db, buf_str(&sql));
	buf_reset(&sql);
	buf_addf(&sql, "explain execute seen_%s", statement->name);
	for (int i = 0; i < statement->nparams; i++)
		buf_adds(&sql, i == 0 ? "(null" : ", null");
	buf_adds(&sql, statement->nparams > 0 ? ")" : "");
	scratch_do(db, buf_str(&sql));
	buf_fini(&sql);
}

Test(migrate, every_statement_fits_the_schema_and_the_workers_role)
{
	scratch_do(db, "set role minuted_worker");
	for (int i = 0; i < DB_STMT_COUNT; i++) {
		/* those that are only the owner's */
		if (i != DB_MIGRATIONS_ADD && i != DB_MIGRATIONS_RENEW &&
		    i != DB_LIMITS_LIST && i != DB_LIMITS_SET)
			explain(&db_statements[i]);
	}
}

Test(migrate, everything_has_a_comment_and_no_view_shows_text)
{
	scratch_file(db, "tests/unit/sql/comments.sql");
}

Test(migrate, the_workers_role_has_data_and_nothing_else)
{
	scratch_file(db, "tests/unit/sql/worker.sql");
}

Test(migrate, folding_keeps_every_sum)
{
	scratch_file(db, "tests/unit/sql/usage.sql");
}

Test(migrate, rows_live_in_the_partition_of_their_month)
{
	scratch_file(db, "tests/unit/sql/partitions.sql");
}

Test(migrate, the_administrator_can_work_in_psql)
{
	scratch_file(db, "tests/unit/sql/admin.sql");
}

/* One folds at a time, and the sums stay right while others add. */
static void *
fold(void *arg)
{
	struct db *own = scratch_connect(scratch_url, 30000);
	int *failures = arg;

	for (int i = 0; i < 50; i++) {
		if (db_script(own,
			"insert into minuted.usage_deltas (user_id, hour,"
			" key_id, kind, calls, latency_counts)"
			" select '01900000-0000-7000-8000-000000000001',"
			" '2026-01-01', '01900000-0000-7000-8000-000000000001',"
			" 'k' || i, 1, '{1}' from generate_series(1, 5) i") !=
			OK ||
		    db_query(own, DB_MAINTENANCE_FOLD, NULL, NULL) != OK)
			++*failures;
	}
	db_free(own);
	return NULL;
}

Test(migrate, folding_is_safe_in_parallel)
{
	int failures[3] = { 0 };
	pthread_t threads[3];

	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, fold, &failures[i]);
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		cr_expect_eq(failures[i], 0);
	}
	scratch_do(db,
	    "select minuted.usage_fold();"
	    "do $$ begin assert (select sum(calls) from minuted.usage_hourly)"
	    " = 750; assert (select sum(latency_counts[1])"
	    " from minuted.usage_hourly) = 750; end $$");
}

/* The next notification, or "" when none comes. */
static const char *
next_news(struct db *listener, char text[160])
{
	char channel[64], payload[80];
	struct pollfd fd = { .fd = db_fd(listener), .events = POLLIN };
	enum err err = db_notification(listener, channel, sizeof(channel),
	    payload, sizeof(payload));

	text[0] = '\0';
	if (err == ERR_MISSING && poll(&fd, 1, 300) == 1)
		err = db_notification(listener, channel, sizeof(channel),
		    payload, sizeof(payload));
	if (err == OK)
		(void)snprintf(text, 160, "%s %s", channel, payload);
	return text;
}

Test(migrate, what_workers_remember_is_called_back)
{
	static const char key[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
				  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
	struct db *listener = scratch_connect(scratch_url, 5000);
	char text[160], sql[256];

	scratch_do(listener,
	    "listen minuted_user; listen minuted_key; listen minuted_catalog");
	scratch_do(db,
	    "insert into minuted.users (id, username, password_hash) values"
	    " ('01900000-0000-7000-8000-000000000001', 'a', '$argon2id$')");
	scratch_do(db, "update minuted.users set first_name = 'x'");
	cr_expect_str_eq(next_news(listener, text), "");
	scratch_do(db, "update minuted.users set token_version = 2");
	cr_expect_str_eq(next_news(listener, text),
	    "minuted_user 01900000-0000-7000-8000-000000000001");
	scratch_do(db, "update minuted.users set role = 'admin'");
	cr_expect_neq(next_news(listener, text)[0], '\0');
	scratch_do(db, "update minuted.users set disabled_at = now()");
	cr_expect_neq(next_news(listener, text)[0], '\0');
	(void)snprintf(sql, sizeof(sql),
	    "insert into minuted.api_keys (user_id, id, name, prefix, key_hash)"
	    " select id, id, 'n', 'p', '%s' from minuted.users",
	    key);
	scratch_do(db, sql);
	cr_expect_str_eq(next_news(listener, text) + 12, key);
	scratch_do(db, "update minuted.api_keys set last_used_at = now()");
	cr_expect_str_eq(next_news(listener, text), "");
	scratch_do(db, "update minuted.api_keys set is_active = false");
	cr_expect_str_eq(next_news(listener, text) + 12, key);
	scratch_do(db, "update minuted.models set enabled = false");
	cr_expect_str_eq(next_news(listener, text), "minuted_catalog models");
	scratch_do(db, "delete from minuted.users");
	cr_expect_neq(next_news(listener, text)[0], '\0', "the user");
	cr_expect_neq(next_news(listener, text)[0], '\0', "and its key");
	db_free(listener);
}
