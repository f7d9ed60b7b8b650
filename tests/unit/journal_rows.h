/*
 * journal_rows.h - rows for the tests of the journal, and how many arrived.
 */
#ifndef JOURNAL_ROWS_H
#define JOURNAL_ROWS_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "base/clock.h"
#include "db/db.h"
#include "journal/record.h"
#include "scratch_db.h"

static const struct uuid rows_user = { { 1, 0x99, 3, 4, 5, 6, 0x70, 8, 0x80 } };

static inline struct uuid
rows_id(void)
{
	struct uuid id;

	cr_assert_eq(uuid_make(&id), OK);
	return id;
}

static inline struct record *
rows_call(struct uuid id, const char *status)
{
	const struct call_row row = { .user_id = rows_user,
		.id = id,
		.kind = "chat.completion",
		.provider = "echo",
		.model = "echo-1",
		.status = status,
		.prompt_tokens = 3,
		.completion_tokens = 4,
		.cached_tokens = -1,
		.reasoning_tokens = -1,
		.cost_pico = 5,
		.latency_us = 1700000,
		.first_token_us = 10,
		.started_us = clock_wall_us(),
		.metadata = "{\"a\":\"\\n\"}",
		.request_text = "hi\there\n\\",
		.response_text = status };
	struct record *record = NULL;

	cr_assert_eq(record_call(&row, &record), OK);
	return record;
}

static inline struct record *
rows_event(struct uuid id, const char *level)
{
	const struct event_row row = { .user_id = rows_user,
		.id = id,
		.subject = "somebody",
		.level = level,
		.message = "it\nbegan",
		.logged_us = clock_wall_us() };
	struct record *record = NULL;

	cr_assert_eq(record_event(&row, &record), OK);
	return record;
}

static inline struct record_view
rows_view(const struct record *record)
{
	return (struct record_view){ .kind = record->kind,
		.id = record->id,
		.line = record->line,
		.len = record->len,
		.is_new = record->is_new };
}

/* The scratch database, migrated. */
static inline struct db *
rows_database(void)
{
	struct db *db;

	scratch_start();
	db = scratch_connect(scratch_url, 20000);
	cr_assert_eq(migrate_run(db), OK, "%s", db_fault(db)->message);
	return db;
}

/* Fails the test unless condition, in SQL, is true. */
static inline void
rows_expect(struct db *db, const char *condition)
{
	char sql[1024];

	(void)snprintf(sql, sizeof(sql), "do $$ begin assert (%s); end $$",
	    condition);
	cr_expect_eq(db_script(db, sql), OK, "%s: %s", condition,
	    db_fault(db)->message);
}

static inline bool
rows_hold(struct db *db, const char *condition)
{
	char sql[1024];

	(void)snprintf(sql, sizeof(sql), "do $$ begin assert (%s); end $$",
	    condition);
	return db_script(db, sql) == OK;
}

/* Until the constraint is dropped. */
static inline void
rows_refuse_dead_letters(struct db *db)
{
	scratch_do(db, "alter table minuted.dead_letters"
		       " add constraint none_at_all check (false) not valid");
}

/* Waits up to 10 s for it. */
static inline void
rows_await(struct db *db, const char *condition)
{
	for (int i = 0; i < 500 && !rows_hold(db, condition); i++)
		(void)usleep(20000);
	rows_expect(db, condition);
}

static inline int
rows_unlink(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

static inline void
rows_remove_tree(const char *path)
{
	(void)nftw(path, rows_unlink, 8, FTW_DEPTH | FTW_PHYS);
}

#endif /* JOURNAL_ROWS_H */
