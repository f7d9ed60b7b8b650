/*
 * test_db.c - a connection and what happens when PostgreSQL misbehaves.
 */
#include "db/db.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/codec.h"
#include "failing.h"
#include "scratch_db.h"

static struct db *db;

/* A database with the one table that the statements used here need. */
static void
start(void)
{
	scratch_start();
	db = scratch_connect(scratch_url, 2000);
	scratch_do(db,
	    "create schema minuted; create table minuted.migrations"
	    " (name text primary key check (name <> ''), checksum text)");
}

static void
stop(void)
{
	db_free(db);
	scratch_stop();
}

TestSuite(db, .init = start, .fini = stop);

static enum err
add(struct db *to, const char *name)
{
	return db_query(to, DB_MIGRATIONS_ADD, (const char *[]){ name, "text" },
	    NULL);
}

static size_t
count(struct db *of)
{
	struct db_rows *rows = NULL;
	size_t n;

	cr_assert_eq(db_query(of, DB_MIGRATIONS_LIST, NULL, &rows), OK, "%s",
	    db_fault(of)->message);
	n = rows_count(rows);
	rows_free(rows);
	return n;
}

/* Ends every connection to the scratch database from outside. */
static void
cut(void)
{
	char sql[256];

	(void)snprintf(sql, sizeof(sql),
	    "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
	    " where datname = '%s'",
	    scratch_name);
	scratch_do(scratch_admin, sql);
}

static void
allow_connections(bool yes)
{
	char sql[256];

	(void)snprintf(sql, sizeof(sql),
	    "alter database %s with allow_connections %s", scratch_name,
	    yes ? "true" : "false");
	scratch_do(scratch_admin, sql);
}

Test(db, the_session_is_pinned_down)
{
	scratch_do(db,
	    "do $$ begin"
	    " assert current_setting('search_path') = 'pg_catalog';"
	    " assert current_setting('timezone') = 'UTC';"
	    " assert current_setting('client_encoding') = 'UTF8';"
	    " assert current_setting('statement_timeout') = '2s';"
	    " assert current_setting('lock_timeout') = '5s';"
	    " assert current_setting('synchronous_commit') = 'on';"
	    " assert current_setting('application_name') = 'minuted test';"
	    " assert current_setting('idle_in_transaction_session_timeout')"
	    "     = '12s'; end $$");
	cr_expect(strlen(db_library_version()) >= 2);
}

Test(db, rows_have_text_numbers_and_nulls)
{
	const char *args[] = { "{\"prices\": [3]}" };
	struct db_rows *rows = NULL;

	cr_assert_eq(db_query(db, DB_PRICES_PROBLEM, args, &rows), OK);
	cr_expect_eq(rows_count(rows), 1);
	cr_expect_eq(rows_int64(rows, 0, 0), 0);
	cr_expect_str_eq(rows_text(rows, 0, 1), "entry");
	cr_expect_eq(rows_len(rows, 0, 1), 5);
	cr_expect(rows_is_null(rows, 1, 0), "outside is null");
	cr_expect_null(rows_text(rows, 0, 9));
	rows_free(rows);
	args[0] = "{}";
	cr_assert_eq(db_query(db, DB_PRICES_PROBLEM, args, &rows), OK);
	cr_expect(rows_is_null(rows, 0, 0));
	cr_expect_eq(rows_int64(rows, 0, 0), 0);
	rows_free(rows);
	args[0] = NULL;
	cr_assert_eq(db_query(db, DB_PRICES_PROBLEM, args, &rows), OK);
	rows_free(rows);
	rows_free(NULL);
	cr_expect_eq(rows_count(NULL), 0);
	cr_expect_not(rows_bool(NULL, 0, 0));
}

/* Beside the same columns as text. */
Test(db, rows_in_binary_say_the_same)
{
	const char *args[] = { "01890a5d-ac96-774b-bcce-b302099a8057",
		"01890a5d-ac96-774b-bcce-b302099a8058",
		"01890a5d-ac96-774b-bcce-b302099a8059" };
	char text[UUID_TEXT_SIZE];
	struct db_rows *rows = NULL;
	struct uuid id;

	scratch_do(db,
	    "create table minuted.messages as select "
	    "'01890a5d-ac96-774b-bcce-b302099a8057'::uuid as user_id, "
	    "'01890a5d-ac96-774b-bcce-b302099a8058'::uuid as chat_id, "
	    "'01890a5d-ac96-774b-bcce-b302099a8059'::uuid as id, "
	    "'user' as role, 'Gr\u00fc\u00dfe' as content, null::text as name, "
	    "null::json as function_call, '[1]'::json as tool_calls, "
	    "'{ }'::json as metadata, -2::bigint as tokens, "
	    "9223372036854775807 as prompt_tokens, "
	    "null::bigint as completion_tokens, 300::bigint as latency, "
	    "'m' as model, 0::bigint as cost_pico, null::uuid as call_id, "
	    "'1969-12-31 23:59:59.999999Z'::timestamptz as created_at, "
	    "'2024-02-29 23:59:59.123456Z'::timestamptz as updated_at");
	cr_assert_eq(db_query(db, DB_MESSAGES_GET, args, &rows), OK, "%s",
	    db_fault(db)->message);
	cr_assert_eq(rows_count(rows), 1);
	cr_expect(rows_uuid(rows, 0, 0, &id));
	uuid_text(&id, text);
	cr_expect_str_eq(text, args[2]);
	cr_expect_not(rows_uuid(rows, 0, 13, &id), "null");
	cr_expect_not(rows_uuid(rows, 0, 1, &id), "no id");
	cr_expect_str_eq(rows_text(rows, 0, 2), "Gr\u00fc\u00dfe");
	cr_expect_str_eq(rows_text(rows, 0, 5), "[1]");
	cr_expect(rows_is_null(rows, 0, 3));
	cr_expect_eq(rows_int64(rows, 0, 7), -2);
	cr_expect_eq(rows_int64(rows, 0, 8), INT64_MAX);
	cr_expect_eq(rows_int64(rows, 0, 9), 0);
	cr_expect_eq(rows_int64(rows, 0, 10), 300);
	cr_expect_eq(rows_wall_us(rows, 0, 14), -1);
	cr_expect_eq(rows_wall_us(rows, 0, 15), INT64_C(1709251199123456));
	cr_expect_eq(rows_wall_us(rows, 0, 99), 0);
	rows_free(rows);
}

Test(db, a_time_in_binary_that_is_out_of_reach_is_none)
{
	static const char *const times[] = { "infinity", "-infinity",
		"294276-12-31 23:59:59Z", "4714-11-24 00:00:00Z BC" };
	const char *args[] = { "01890a5d-ac96-774b-bcce-b302099a8057",
		"01890a5d-ac96-774b-bcce-b302099a8058", NULL };
	struct db_rows *rows = NULL;
	char sql[768];

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		(void)snprintf(sql, sizeof(sql),
		    "drop table if exists minuted.messages; "
		    "create table minuted.messages as select '%s'::uuid as "
		    "user_id, '%s'::uuid as chat_id, '%s'::uuid as id, 'user' "
		    "as role, '' as content, '' as name, null::json as "
		    "function_call, null::json as tool_calls, '{}'::json as "
		    "metadata, 0::bigint as tokens, 0::bigint as "
		    "prompt_tokens, 0::bigint as completion_tokens, 0::bigint "
		    "as latency, 'm' as model, 0::bigint as cost_pico, "
		    "null::uuid as call_id, '%s'::timestamptz as created_at, "
		    "now() as updated_at",
		    args[0], args[1], args[0], times[i]);
		scratch_do(db, sql);
		args[2] = args[0];
		cr_assert_eq(db_query(db, DB_MESSAGES_GET, args, &rows), OK,
		    "%s", db_fault(db)->message);
		if (i < 3)
			cr_expect_eq(rows_wall_us(rows, 0, 14), 0, "%s",
			    times[i]);
		else
			cr_expect_lt(rows_wall_us(rows, 0, 14), 0);
		rows_free(rows);
	}
}

Test(db, a_duplicate_is_a_conflict_that_names_its_constraint)
{
	cr_expect_eq(add(db, "one"), OK);
	cr_expect_eq(add(db, "one"), ERR_CONFLICT);
	cr_expect_str_eq(db_fault(db)->sqlstate, "23505");
	cr_expect_str_eq(db_fault(db)->constraint, "migrations_pkey");
	cr_expect_null(strstr(db_fault(db)->message, "one"));
	cr_expect_eq(count(db), 1);
}

Test(db, a_broken_constraint_is_bad_input)
{
	cr_expect_eq(add(db, ""), ERR_INPUT);
	cr_expect_eq(add(db, NULL), ERR_INPUT);
}

Test(db, a_bad_value_is_never_quoted)
{
	const char *days[] = { "sesame" };
	const char *json[] = { "{\"sesame\"" };

	scratch_do(db, "create function minuted.content_expire(int) returns int"
		       " language sql return 0");
	cr_expect_eq(db_query(db, DB_MAINTENANCE_CONTENT, days, NULL),
	    ERR_INPUT);
	cr_expect_str_eq(db_fault(db)->sqlstate, "22P02");
	cr_expect_null(strstr(db_fault(db)->message, "sesame"));
	cr_expect_eq(db_query(db, DB_PRICES_PROBLEM, json, NULL), ERR_INPUT);
	cr_expect_null(strstr(db_fault(db)->message, "sesame"));
}

/* What quotes mean depends on the language of the server. */
Test(db, a_bad_value_is_quoted_in_no_language)
{
	static const char *const quotes[] = { "\"sesame\"", "»sesame«",
		"« sesame »", "'sesame'", "sesame" };
	char sql[256];

	for (size_t i = 0; i < sizeof(quotes) / sizeof(*quotes); i++) {
		(void)snprintf(sql, sizeof(sql),
		    "do $x$ begin raise exception using errcode = '22P02',"
		    " message = $y$ungültige Eingabesyntax: %s$y$; end $x$",
		    quotes[i]);
		cr_expect_eq(db_script(db, sql), ERR_INPUT);
		cr_expect_null(strstr(db_fault(db)->message, "sesame"), "%s",
		    db_fault(db)->message);
		cr_expect_neq(db_fault(db)->message[0], '\0');
	}
}

Test(db, a_long_message_is_cut_between_characters)
{
	static const char *const fill[] = { "", "x", "xx", "xxx" };
	const char *said = db_fault(db)->message;
	char sql[256];

	for (size_t i = 0; i < sizeof(fill) / sizeof(*fill); i++) {
		(void)snprintf(sql, sizeof(sql),
		    "do $x$ begin raise exception '%s%%', repeat('😀', 99); "
		    "end $x$",
		    fill[i]);
		cr_expect_eq(db_script(db, sql), ERR_INPUT);
		cr_expect_gt(strlen(said), 248);
		cr_expect_eq(codec_utf8_valid(said, strlen(said)), strlen(said),
		    "%zu", i);
	}
}

Test(db, a_slow_statement_times_out_and_the_connection_stays)
{
	struct db *hasty = scratch_connect(scratch_url, 100);

	cr_expect_eq(db_script(hasty, "select pg_sleep(5)"), ERR_TIMEOUT);
	cr_expect_str_eq(db_fault(hasty)->sqlstate, "57014");
	cr_expect_geq(db_fd(hasty), 0);
	cr_expect_eq(count(hasty), 0);
	db_free(hasty);
}

Test(db, a_deadline_drops_a_connection_that_does_not_answer)
{
	struct db *hasty = scratch_connect(scratch_url, 100);
	int64_t begin = clock_mono_us();

	scratch_do(hasty, "set statement_timeout = 0");
	cr_expect_eq(db_script(hasty, "select pg_sleep(30)"), ERR_TIMEOUT);
	cr_expect_lt(clock_mono_us() - begin, 5 * 1000000LL);
	cr_expect_str_eq(db_fault(hasty)->sqlstate, DB_LATE);
	cr_expect_eq(db_fd(hasty), -1);
	cr_expect_eq(count(hasty), 0, "a new connection is made");
	db_free(hasty);
}

Test(db, a_lock_that_is_held_times_out)
{
	struct db *other = db_new(&(struct db_options){ .url = scratch_url,
	    .application = "other",
	    .statement_ms = 5000,
	    .lock_ms = 100 });

	cr_assert_eq(db_begin(db), OK);
	scratch_do(db, "lock table minuted.migrations");
	cr_expect_eq(add(other, "one"), ERR_TIMEOUT);
	cr_expect_str_eq(db_fault(other)->sqlstate, "55P03");
	db_rollback(db);
	cr_expect_eq(add(other, "one"), OK);
	db_free(other);
}

Test(db, a_connection_that_died_idle_is_made_again_unnoticed)
{
	uint64_t generation;

	cr_expect_eq(count(db), 0);
	generation = db_generation(db);
	cut();
	cr_expect_eq(count(db), 0);
	cr_expect_eq(db_generation(db), generation + 1);
	cr_expect_geq(db_fd(db), 0);
}

Test(db, a_connection_that_dies_in_a_transaction_is_not_made_again_in_it)
{
	cr_assert_eq(db_begin(db), OK);
	cr_assert_eq(add(db, "one"), OK);
	cut();
	cr_expect_eq(add(db, "two"), ERR_BUSY);
	cr_expect_eq(add(db, "three"), ERR_BUG, "only a rollback is legal");
	db_rollback(db);
	cr_expect_eq(count(db), 0);
	cr_expect_eq(add(db, "two"), OK);
}

Test(db, a_connection_that_dies_before_commit_commits_nothing)
{
	cr_assert_eq(db_begin(db), OK);
	cr_assert_eq(add(db, "one"), OK);
	cut();
	cr_expect_eq(db_commit(db), ERR_BUSY);
	db_rollback(db);
	cr_expect_eq(count(db), 0);
}

static enum err
copy(struct db *to, const char *sql, const char *text, size_t len)
{
	return db_copy(to, sql, &(struct db_lines){ text, len }, 1);
}

Test(db, while_postgresql_is_away_calls_return_at_once)
{
	int64_t begin;

	allow_connections(false);
	cut();
	cr_expect_eq(db_connect(db), ERR_BUSY);
	begin = clock_mono_us();
	for (int i = 0; i < 100; i++)
		cr_expect_eq(db_connect(db), ERR_BUSY);
	cr_expect_lt(clock_mono_us() - begin, 500 * 1000LL);
	cr_expect_eq(add(db, "one"), ERR_BUSY);
	cr_expect_eq(db_begin(db), ERR_BUSY);
	cr_expect_eq(db_script(db, "select 1"), ERR_BUSY);
	cr_expect_eq(copy(db, "copy x from stdin", "", 0), ERR_BUSY);
	cr_expect_eq(db_fd(db), -1);
	allow_connections(true);
}

Test(db, postgresql_is_noticed_within_a_second_of_its_return)
{
	int64_t back;

	allow_connections(false);
	cut();
	for (int i = 0; i < 300; i++) {
		cr_expect_eq(db_connect(db), ERR_BUSY);
		(void)usleep(10000);
	}
	allow_connections(true);
	back = clock_mono_us();
	while (db_connect(db) != OK && clock_mono_us() - back < 3000000)
		(void)usleep(5000);
	cr_expect_lt(clock_mono_us() - back, 1200000);
	cr_expect_eq(add(db, "one"), OK);
}

Test(db, a_server_that_accepts_and_says_nothing_is_given_up)
{
	char dir[64];
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char url[128];
	struct db *mute;
	int64_t begin = clock_mono_us();
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)snprintf(dir, sizeof(dir), "/tmp/minuted-test-%d", getpid());
	cr_assert_eq(mkdir(dir, 0700), 0);
	(void)snprintf(address.sun_path, sizeof(address.sun_path),
	    "%s/.s.PGSQL.5432", dir);
	cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(listen(fd, 5), 0);
	(void)snprintf(url, sizeof(url),
	    "host=%s port=5432 connect_timeout=1 user=x dbname=x", dir);
	mute = scratch_connect(url, 1000);
	cr_expect_eq(db_connect(mute), ERR_BUSY);
	cr_expect_lt(clock_mono_us() - begin, 2500000);
	begin = clock_mono_us();
	cr_expect_eq(db_connect(mute), ERR_BUSY);
	cr_expect_lt(clock_mono_us() - begin, 100000, "at once");
	db_free(mute);
	(void)close(fd);
	(void)unlink(address.sun_path);
	(void)rmdir(dir);
}

Test(db, a_wrong_url_is_not_quoted)
{
	struct db *wrong =
	    scratch_connect("postgresql://u:sesame@[x/?nonsense", 1000);

	cr_expect_eq(db_connect(wrong), ERR_SYSTEM);
	cr_expect_null(strstr(db_fault(wrong)->message, "sesame"));
	db_free(wrong);
}

static void
url_is(const char *url, const char *wanted)
{
	struct buf problem;

	buf_init(&problem, 1000);
	cr_expect_eq(db_url_is_valid(url, &problem), *wanted == '\0', "%s",
	    url);
	cr_expect_str_eq(buf_str(&problem), wanted, "%s", url);
	buf_fini(&problem);
}

Test(db, a_url_that_libpq_does_not_take_is_told_without_its_values)
{
	url_is("postgresql://u:sesame@h/d?sslmode=require", "");
	url_is("host=a,b port=1,2 dbname=d password='open sesame'", "");
	url_is("postgresql://u:sesame@h/d?sslmoda=x",
	    "has an invalid URI query parameter (sslmoda)");
	url_is("host=h sslmoda=x password=sesame",
	    "has an invalid connection option (sslmoda)");
	url_is("host=h sslmode=sesame", "has an invalid sslmode value");
	url_is("host=h port=sesame", "has an invalid integer value (port)");
	url_is("host=h port=70000", "has an invalid port number");
	url_is("postgresql://u:sesame%zz@h/d",
	    "has an invalid percent-encoded token");
	url_is("password=open sesame", "is no connection string of PostgreSQL");
	url_is("postgresql://u:sesame@[x/?nonsense",
	    "is no connection string of PostgreSQL");
}

Test(db, statements_that_the_server_forgot_are_prepared_again)
{
	cr_expect_eq(count(db), 0);
	scratch_do(db, "deallocate all");
	cr_expect_eq(count(db), 0);
	cr_expect_eq(add(db, "one"), OK);
	cr_expect_eq(count(db), 1);
}

Test(db, a_statement_that_the_server_has_already_is_prepared_again)
{
	scratch_do(db, "prepare service_ping as select 2");
	cr_expect_eq(db_query(db, DB_SERVICE_PING, NULL, NULL), OK);
	cr_expect_eq(db_query(db, DB_SERVICE_PING, NULL, NULL), OK);
}

Test(db, a_statement_whose_shape_changed_is_prepared_again)
{
	cr_expect_eq(count(db), 0);
	scratch_do(db,
	    "alter table minuted.migrations alter name type varchar(50)");
	cr_expect_eq(count(db), 0);
}

Test(db, in_a_transaction_a_forgotten_statement_works_after_the_rollback)
{
	cr_expect_eq(count(db), 0);
	scratch_do(db, "deallocate all");
	cr_assert_eq(db_begin(db), OK);
	cr_expect_eq(add(db, "one"), OK, "not yet prepared");
	cr_expect_eq(db_query(db, DB_MIGRATIONS_LIST, NULL, NULL), ERR_BUSY);
	db_rollback(db);
	cr_expect_eq(count(db), 0);
}

Test(db, the_first_statement_of_a_transaction_is_prepared_again)
{
	cr_expect_eq(add(db, "one"), OK);
	cr_expect_eq(count(db), 1);
	scratch_do(db, "deallocate all");
	cr_assert_eq(db_begin(db), OK);
	cr_expect_eq(db_end(db, add(db, "two")), OK);
	scratch_do(db,
	    "alter table minuted.migrations alter name type varchar(50)");
	cr_assert_eq(db_wrap(db), OK);
	cr_assert_eq(db_begin(db), OK);
	cr_expect_eq(count(db), 2);
	cr_expect_eq(db_end(db, add(db, "three")), OK);
	cr_expect_not(db_is_broken(db));
	cr_expect_eq(db_unwrap(db, ERR_GONE), ERR_GONE);
	cr_expect_eq(count(db), 2, "it is a transaction still");
}

Test(db, a_later_statement_whose_shape_changed_is_worth_another_transaction)
{
	cr_expect_eq(count(db), 0);
	scratch_do(db,
	    "alter table minuted.migrations alter name type varchar(50)");
	cr_assert_eq(db_begin(db), OK);
	cr_expect_eq(add(db, "one"), OK);
	cr_expect_eq(db_query(db, DB_MIGRATIONS_LIST, NULL, NULL), ERR_BUSY);
	db_rollback(db);
	cr_expect_eq(count(db), 0);
}

Test(db, an_end_commits_what_went_well_only)
{
	cr_assert_eq(db_begin(db), OK);
	cr_expect_eq(db_end(db, add(db, "one")), OK);
	cr_expect_eq(count(db), 1);
	cr_assert_eq(db_begin(db), OK);
	cr_expect_eq(add(db, "two"), OK);
	cr_expect_eq(db_end(db, ERR_INPUT), ERR_INPUT);
	cr_expect_eq(count(db), 1);
}

Test(db, a_transaction_keeps_or_forgets_everything)
{
	cr_assert_eq(db_begin(db), OK);
	cr_expect_eq(add(db, "one"), OK);
	cr_expect_eq(add(db, "two"), OK);
	cr_expect_eq(db_begin(db), ERR_BUG, "no nesting");
	db_rollback(db);
	cr_expect_eq(count(db), 0);
	cr_assert_eq(db_begin(db), OK);
	cr_expect_eq(add(db, "one"), OK);
	cr_expect_eq(db_commit(db), OK);
	cr_expect_eq(db_commit(db), ERR_BUG, "there is none");
	db_rollback(db);
	cr_expect_eq(count(db), 1);
}

Test(db, transactions_of_others_are_parts_of_the_one_around_them)
{
	cr_assert_eq(db_wrap(db), OK);
	cr_assert_eq(db_begin(db), OK);
	cr_expect_eq(db_begin(db), ERR_BUG, "no nesting within");
	cr_expect_eq(add(db, "one"), OK);
	cr_expect_eq(db_commit(db), OK);
	cr_expect_eq(db_commit(db), ERR_BUG, "there is none");
	cr_expect_not(db_is_broken(db));
	cr_expect_eq(db_unwrap(db, ERR_GONE), ERR_GONE);
	cr_expect_eq(count(db), 0, "its end was none");
	cr_assert_eq(db_wrap(db), OK);
	cr_assert_eq(db_begin(db), OK);
	cr_expect_eq(db_end(db, add(db, "one")), OK);
	cr_expect_eq(db_unwrap(db, OK), OK);
	cr_expect_eq(count(db), 1);
}

Test(db, a_rollback_within_leaves_only_that_of_the_whole)
{
	cr_assert_eq(db_wrap(db), OK);
	cr_expect_eq(add(db, "one"), OK);
	cr_assert_eq(db_begin(db), OK);
	db_rollback(db);
	cr_expect(db_is_broken(db));
	cr_expect_eq(add(db, "two"), ERR_BUG);
	db_rollback(db);
	cr_expect(db_is_wrapped(db), "that was nobody's");
	cr_expect_eq(db_unwrap(db, OK), ERR_BUG);
	cr_expect_not(db_is_wrapped(db));
	cr_expect_eq(count(db), 0);
}

Test(db, after_an_error_a_transaction_can_only_be_rolled_back)
{
	cr_assert_eq(db_begin(db), OK);
	cr_expect_eq(add(db, "one"), OK);
	cr_expect_eq(add(db, "one"), ERR_CONFLICT);
	cr_expect_eq(add(db, "two"), ERR_BUG);
	cr_expect_eq(db_commit(db), ERR_BUG);
	cr_expect_eq(count(db), 0, "and nothing of it is there");
	cr_expect_eq(add(db, "two"), OK);
}

Test(db, rollback_keeps_the_reason)
{
	cr_assert_eq(db_begin(db), OK);
	cr_expect_eq(add(db, ""), ERR_INPUT);
	db_rollback(db);
	cr_expect_str_eq(db_fault(db)->sqlstate, "23514");
}

Test(db, a_script_that_leaves_a_transaction_open_is_rolled_back)
{
	cr_expect_eq(db_script(db, "begin; create table public.t ()"), OK);
	cr_expect_eq(db_script(db, "table public.t"), ERR_BUG);
	cr_expect_str_eq(db_fault(db)->sqlstate, "42P01");
}

Test(db, a_copy_that_nobody_feeds_is_refused)
{
	cr_expect_eq(db_script(db, "copy minuted.migrations from stdin"),
	    ERR_BUG);
	cr_expect_eq(count(db), 0);
}

static enum err
three(void *arg, const struct db_rows *row)
{
	int *seen = arg;

	cr_expect_eq(rows_count(row), 1);
	cr_expect_not_null(rows_text(row, 0, 0));
	++*seen;
	return *seen < 3 ? OK : ERR_GONE;
}

static enum err
all(void *arg, const struct db_rows *row)
{
	(void)row;
	++*(int *)arg;
	return OK;
}

Test(db, each_passes_every_row)
{
	int seen = 0;

	cr_expect_eq(db_each(db, DB_MIGRATIONS_LIST, NULL, all, &seen), OK);
	cr_expect_eq(seen, 0);
	scratch_do(db, "insert into minuted.migrations"
		       " select 'm' || i from generate_series(1, 5000) i");
	cr_expect_eq(db_each(db, DB_MIGRATIONS_LIST, NULL, all, &seen), OK);
	cr_expect_eq(seen, 5000);
	cr_expect_eq(count(db), 5000, "the connection goes on");
	scratch_do(db, "deallocate all");
	seen = 0;
	cr_expect_eq(db_each(db, DB_MIGRATIONS_LIST, NULL, all, &seen), OK);
	cr_expect_eq(seen, 5000);
}

Test(db, each_stops_when_told)
{
	int seen = 0;

	scratch_do(db, "insert into minuted.migrations"
		       " select 'm' || i from generate_series(1, 5000) i");
	cr_expect_eq(db_each(db, DB_MIGRATIONS_LIST, NULL, three, &seen),
	    ERR_GONE);
	cr_expect_eq(seen, 3);
	cr_expect_eq(count(db), 5000, "on a new connection");
}

Test(db, each_reports_an_error)
{
	const char *args[] = { "{" };
	int seen = 0;

	cr_expect_eq(db_each(db, DB_PRICES_PROBLEM, args, all, &seen),
	    ERR_INPUT);
	cr_expect_eq(count(db), 0);
}

static const char copy_sql[] =
    "copy minuted.migrations (name, checksum) from stdin";

Test(db, copy_takes_more_than_fits_into_a_buffer)
{
	enum { LINES = 20000, LINE = 200 };
	char *text = malloc(LINES * LINE);

	cr_assert_not_null(text);
	memset(text, 'x', LINES * LINE);
	for (int i = 0; i < LINES; i++) {
		char number[16];

		(void)snprintf(number, sizeof(number), "%08d\t", i);
		memcpy(text + i * LINE, number, 9);
		text[i * LINE + LINE - 1] = '\n';
	}
	cr_expect_eq(copy(db, copy_sql, text, LINES * LINE), OK, "%s",
	    db_fault(db)->message);
	cr_expect_eq(count(db), LINES);
	free(text);
}

Test(db, a_bad_line_in_a_copy_refuses_all_of_it)
{
	static const char text[] = "one\tx\ntwo\tx\textra\nthree\tx\n";
	static const char twice[] = "one\tx\none\tx\n";

	cr_expect_eq(copy(db, copy_sql, text, strlen(text)), ERR_INPUT);
	cr_expect_eq(copy(db, copy_sql, twice, strlen(twice)), ERR_CONFLICT);
	cr_expect_eq(count(db), 0);
	cr_assert_eq(db_begin(db), OK);
	cr_expect_eq(copy(db, copy_sql, "one\tx\n", 6), OK);
	cr_expect_eq(copy(db, copy_sql, "one\tx\n", 6), ERR_CONFLICT);
	cr_expect_eq(copy(db, copy_sql, "two\tx\n", 6), ERR_BUG);
	db_rollback(db);
	cr_expect_eq(count(db), 0);
}

Test(db, several_copies_are_one_transaction)
{
	static const char both[] =
	    "copy minuted.migrations (name, checksum) from stdin;"
	    "copy minuted.migrations (checksum, name) from stdin";
	struct db_lines lines[2] = { { "one\tx\n", 6 }, { "x\ttwo\n", 6 } };

	cr_expect_eq(db_copy(db, both, lines, 2), OK);
	cr_expect_eq(count(db), 2);
	lines[0] = (struct db_lines){ "three\tx\n", 8 };
	cr_expect_eq(db_copy(db, both, lines, 2), ERR_CONFLICT);
	cr_expect_eq(count(db), 2);
	lines[1] = (struct db_lines){ "", 0 };
	cr_expect_eq(db_copy(db, both, lines, 2), OK);
	cr_expect_eq(count(db), 3);
}

Test(db, copy_needs_a_copy_statement)
{
	cr_expect_eq(copy(db, "select 1", "", 0), ERR_BUG);
	cr_expect_eq(copy(db, "copy nothing from stdin", "", 0), ERR_BUG);
	cr_expect_eq(count(db), 0);
}

Test(db, notifications_arrive_with_their_payload)
{
	struct db *other = scratch_connect(scratch_url, 2000);
	char channel[32], payload[8];

	scratch_do(db, "listen news");
	cr_expect_geq(db_fd(db), 0);
	cr_expect_eq(db_notification(db, channel, sizeof(channel), payload,
			 sizeof(payload)),
	    ERR_MISSING);
	scratch_do(other, "notify news, 'a'; notify news, 'longer than 8'");
	cr_assert_eq(poll(&(struct pollfd){ .fd = db_fd(db), .events = POLLIN },
			 1, 5000),
	    1);
	cr_expect_eq(db_notification(db, channel, sizeof(channel), payload,
			 sizeof(payload)),
	    OK);
	cr_expect_str_eq(channel, "news");
	cr_expect_str_eq(payload, "a");
	cr_expect_eq(db_notification(db, channel, sizeof(channel), payload,
			 sizeof(payload)),
	    OK);
	cr_expect_str_eq(payload, "longer ");
	db_free(other);
}

Test(db, a_listener_learns_that_its_connection_is_lost)
{
	char channel[32], payload[32];

	scratch_do(db, "listen news");
	cut();
	cr_expect_eq(db_notification(db, channel, sizeof(channel), payload,
			 sizeof(payload)),
	    ERR_BUSY);
	cr_expect_eq(db_fd(db), -1);
	cr_expect_eq(db_notification(db, channel, sizeof(channel), payload,
			 sizeof(payload)),
	    ERR_BUSY);
}

/* Until an attempt on a new connection needs no more than n allocations. */
Test(db, every_allocation_may_fail, .timeout = 120)
{
	bool refused = true;

	for (long n = 0; refused && n < 2000; n++) {
		struct db *poor = scratch_connect(scratch_url, 2000);
		int64_t begin = clock_mono_us();
		enum err err;

		failing_after(n);
		err = db_script(poor, "select 1");
		if (err == OK)
			err = add(poor, "one");
		refused = failing_stop();
		cr_expect(err == OK || refused, "%ld: %s", n, err_name(err));
		while (db_connect(poor) != OK &&
		       clock_mono_us() - begin < 3000000)
			(void)usleep(10000);
		scratch_do(poor, "delete from minuted.migrations");
		db_free(poor);
	}
	cr_expect_not(refused);
}

Test(db, freeing_nothing_is_legal)
{
	db_free(NULL);
	db_rollback(db);
	cr_expect_eq(count(db), 0);
}
