/*
 * scratch_db.h - a database of its own for each test that needs one.
 *
 * MINUTED_TEST_DATABASE_URL names a database whose role may create others.
 * Without it such tests are skipped, and say so.
 */
#ifndef SCRATCH_DB_H
#define SCRATCH_DB_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "db/db.h"
#include "db/migrate.h"

static struct db *scratch_admin; /* connected to the database of the URL */
static char scratch_name[64];
static char scratch_url[1024];

static inline struct db *
scratch_connect(const char *url, int64_t statement_ms)
{
	struct db *db = db_new(&(struct db_options){ .url = url,
	    .application = "minuted test",
	    .statement_ms = statement_ms,
	    .lock_ms = 5000 });

	cr_assert_not_null(db);
	return db;
}

static inline void
scratch_do(struct db *db, const char *sql)
{
	cr_assert_eq(db_script(db, sql), OK, "%s: %s", sql,
	    db_fault(db)->message);
}

/* Runs a file of statements; asserts in it fail the test. */
static inline void
scratch_file(struct db *db, const char *path)
{
	char *text = NULL;
	size_t size = 0;
	FILE *file = fopen(path, "r");

	cr_assert_not_null(file, "%s: run from the top of the tree", path);
	cr_assert_gt(getdelim(&text, &size, '\0', file), 0);
	(void)fclose(file);
	cr_assert_eq(db_script(db, text), OK, "%s: %s %s", path,
	    db_fault(db)->sqlstate, db_fault(db)->message);
	free(text);
}

static inline void
scratch_start(void)
{
	const char *url = getenv("MINUTED_TEST_DATABASE_URL");
	const char *glue = " ";
	char sql[128];

	if (url == NULL || url[0] == '\0')
		cr_skip_test("MINUTED_TEST_DATABASE_URL is not set");
	if (strstr(url, "://") != NULL)
		glue = strchr(url, '?') == NULL ? "?" : "&";
	(void)snprintf(scratch_name, sizeof(scratch_name), "minuted_test_%d",
	    getpid());
	(void)snprintf(scratch_url, sizeof(scratch_url), "%s%sdbname=%s", url,
	    glue, scratch_name);
	scratch_admin = scratch_connect(url, 60000);
	(void)snprintf(sql, sizeof(sql),
	    "drop database if exists %s with (force)", scratch_name);
	scratch_do(scratch_admin, sql);
	(void)snprintf(sql, sizeof(sql),
	    "create database %s template template0", scratch_name);
	scratch_do(scratch_admin, sql);
}

static inline void
scratch_stop(void)
{
	char sql[128];

	if (scratch_admin == NULL)
		return;
	(void)snprintf(sql, sizeof(sql),
	    "drop database if exists %s with (force)", scratch_name);
	scratch_do(scratch_admin, sql);
	db_free(scratch_admin);
}

#endif /* SCRATCH_DB_H */
