/*
 * test_later.c - statements that wait until PostgreSQL takes them.
 */
#include "api/later.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "db/migrate.h"
#include "scratch_db.h"

static char nowhere[] = "host=/nonexistent";
static struct config config = { .statement_ms = 2000, .lock_ms = 1000 };

static enum err
add(struct later *later, const char *name)
{
	return later_do(later, DB_MIGRATIONS_ADD,
	    (const char *const[]){ name, "text" });
}

static struct later *
started(char *url)
{
	struct later *later;

	log_setup(LOG_ERROR, "test");
	config.database_url = url;
	cr_assert_eq(later_start(&config, &later), OK);
	return later;
}

static void
allow_connections(bool yes)
{
	char sql[512];

	(void)snprintf(sql, sizeof(sql),
	    "alter database %s allow_connections %s;"
	    "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
	    " where datname = '%s' and not %s",
	    scratch_name, yes ? "true" : "false", scratch_name,
	    yes ? "true" : "false");
	scratch_do(scratch_admin, sql);
}

Test(later, what_waited_is_done_in_order_when_postgresql_is_back, .timeout = 60)
{
	struct later *later;
	struct db_rows *rows = NULL;
	struct db *db;

	scratch_start();
	db = scratch_connect(scratch_url, 5000);
	cr_assert_eq(migrate_run(db), OK);
	db_free(db);
	allow_connections(false);
	later = started(scratch_url);
	cr_expect_eq(add(later, "z_first"), OK);
	cr_expect_eq(add(later, "z_first"), OK,
	    "which is refused, and in no way");
	cr_expect_eq(add(later, "z_second"), OK);
	(void)usleep(300000);
	allow_connections(true);
	db = scratch_connect(scratch_url, 5000);
	for (int i = 0; i < 500; i++) {
		rows_free(rows);
		cr_assert_eq(db_query(db, DB_MIGRATIONS_LIST, NULL, &rows), OK);
		if (rows_count(rows) > 0 &&
		    strcmp(rows_text(rows, rows_count(rows) - 1, 0),
			"z_second") == 0)
			break;
		(void)usleep(10000);
	}
	cr_expect_str_eq(rows_text(rows, rows_count(rows) - 1, 0), "z_second");
	cr_expect_str_eq(rows_text(rows, rows_count(rows) - 2, 0), "z_first");
	rows_free(rows);
	cr_expect_not(later_stop(later), "one of them was refused");
	db_free(db);
	scratch_stop();
}

#define ID   "018f0000-0000-7000-8000-000000000000"
#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static bool
took(struct db *db)
{
	const char *const args[] = { ID, HASH, HASH, "/", ID, "100000", ID,
		"false" };
	struct db_rows *rows;
	bool some;

	cr_assert_eq(db_query(db, DB_IDEMPOTENCY_TAKE, args, &rows), OK, "%s",
	    db_fault(db)->message);
	some = rows_count(rows) > 0;
	rows_free(rows);
	return some;
}

Test(later, what_undoes_is_tried_until_it_found_something, .timeout = 60)
{
	const char *const args[] = { ID, HASH, ID, "false" };
	struct later *later;
	struct db *db;
	bool again = false;

	scratch_start();
	db = scratch_connect(scratch_url, 5000);
	cr_assert_eq(migrate_run(db), OK);
	scratch_do(db, "set session_replication_role = replica"); /* no user */
	later = started(scratch_url);
	cr_expect_eq(later_undo(later, DB_IDEMPOTENCY_FREE, args), OK);
	(void)usleep(500000);
	cr_expect(took(db));
	for (int i = 0; i < 500 && !again; i++) {
		(void)usleep(10000);
		again = took(db);
	}
	cr_expect(again, "it was freed");
	(void)usleep(500000);
	cr_expect_not(took(db), "once");
	scratch_do(db, "delete from minuted.idempotency_keys");
	cr_expect_eq(later_undo(later, DB_IDEMPOTENCY_FREE, args), OK);
	cr_expect_not(later_stop(later), "others have to look for it");
	db_free(db);
	scratch_stop();
}

Test(later, what_waits_has_a_ceiling, .timeout = 60)
{
	struct later *later = started(nowhere);
	size_t len = LATER_BYTES_MAX / 4;
	char *text = malloc(len + 1);
	int count = 0;

	cr_assert_not_null(text);
	memset(text, 'x', len);
	text[len] = '\0';
	while (count < 10 && add(later, text) == OK)
		count++;
	cr_expect_eq(count, 2, "with what is around it three are too many");
	cr_expect_eq(add(later, "short"), OK, "of that there is more");
	free(text);
	cr_expect_not(later_stop(later), "nothing was done");
}

Test(later, without_anything_it_stops_at_once, .timeout = 60)
{
	cr_expect(later_stop(started(nowhere)));
	cr_expect(later_stop(NULL));
	cr_expect_eq(add(NULL, "x"), ERR_BUSY);
}
