/*
 * migrate.c - the schema: numbered, forward-only files built into the program.
 */
#include "db/migrate.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "db/prices.h"

#define PROBLEM_MAX 1024

/* Before the first migration can note itself. */
static const char bookkeeping[] =
    "create schema if not exists minuted;"
    "create table if not exists minuted.migrations ("
    "    name       text        primary key,"
    "    checksum   text        not null,"
    "    applied_at timestamptz not null default now()"
    ")";

/* Of the session: it goes with the connection, whatever happens. */
static const char lock[] =
    "set lock_timeout = 0; set statement_timeout = 0;"
    "select pg_advisory_lock(hashtextextended('minuted.migrate', 0));"
    "reset lock_timeout; reset statement_timeout";
static const char unlock[] =
    "select pg_advisory_unlock(hashtextextended('minuted.migrate', 0))";

static bool
is_applied(const struct db_rows *applied, const char *name)
{
	for (size_t i = 0; i < rows_count(applied); i++) {
		if (strcmp(rows_text(applied, i, 0), name) == 0)
			return true;
	}
	return false;
}

static bool
is_ours(const char *name)
{
	for (size_t i = 0; i < db_migrations_len; i++) {
		if (strcmp(db_migrations[i].name, name) == 0)
			return true;
	}
	return false;
}

static bool
is_breaking(const char *name)
{
	static const char mark[] = "_breaking";
	size_t len = strlen(name);

	return len >= sizeof(mark) - 1 &&
	       strcmp(name + len - (sizeof(mark) - 1), mark) == 0;
}

/* A numbered migration that this program does not have. */
static bool
is_from_later(const char *name)
{
	return name[0] >= '0' && name[0] <= '9' && !is_ours(name);
}

static enum migrate_state
compare(const struct db_rows *applied, bool *newer)
{
	enum migrate_state state = MIGRATE_CURRENT;

	*newer = false;
	for (size_t i = 0; i < db_migrations_len; i++) {
		if (!is_applied(applied, db_migrations[i].name))
			state = MIGRATE_TOO_OLD;
	}
	for (size_t i = 0; i < rows_count(applied); i++) {
		const char *name = rows_text(applied, i, 0);

		if (!is_from_later(name))
			continue;
		*newer = true;
		if (is_breaking(name))
			return MIGRATE_TOO_NEW;
	}
	return state;
}

enum err
migrate_check(struct db *db, enum migrate_state *out)
{
	struct db_rows *applied = NULL;
	bool newer;
	enum err err = db_query(db, DB_MIGRATIONS_LIST, NULL, &applied);

	if (err == OK) {
		*out = compare(applied, &newer);
		rows_free(applied);
		return OK;
	}
	/* no such table, no such schema */
	if (strcmp(db_fault(db)->sqlstate, "42P01") != 0 &&
	    strcmp(db_fault(db)->sqlstate, "3F000") != 0)
		return err;
	*out = MIGRATE_NONE;
	return OK;
}

const char *
migrate_state_text(enum migrate_state state)
{
	switch (state) {
	case MIGRATE_CURRENT:
		return "schema is current";
	case MIGRATE_TOO_OLD:
		return "the database is older than this program: "
		       "run `minuted migrate`";
	case MIGRATE_TOO_NEW:
		return "the database was changed by a newer minuted that "
		       "this one cannot serve: run the newer program";
	case MIGRATE_NONE:
		return "the database has no schema: run `minuted migrate`";
	}
	return "unknown";
}

/* Says what was done, once it is committed. */
static enum err
commit_and_say(struct db *db, const char *name, const char *detail)
{
	enum err err = db_commit(db);

	if (err == OK)
		(void)printf("applied %s%s\n", name, detail);
	return err;
}

static enum err
apply(struct db *db, const struct migration *migration)
{
	const char *args[] = { migration->name, migration->sql };
	enum err err = db_begin(db);

	if (err != OK)
		return err;
	err = db_query(db, DB_MIGRATIONS_ADD, args, NULL);
	if (err == OK)
		err = db_script(db, migration->sql);
	if (err == OK)
		return commit_and_say(db, migration->name, "");
	db_rollback(db);
	(void)printf("failed %s\n", migration->name);
	return err;
}

static enum err
apply_missing(struct db *db, const struct db_rows *applied)
{
	for (size_t i = 0; i < db_migrations_len; i++) {
		enum err err;

		if (is_applied(applied, db_migrations[i].name))
			continue;
		err = apply(db, &db_migrations[i]);
		if (err != OK)
			return err;
	}
	return OK;
}

static enum err
load_views(struct db *db, struct buf *detail)
{
	(void)detail;
	return db_script(db, db_admin_sql);
}

static enum err
load_prices(struct db *db, struct buf *detail)
{
	struct prices_count count = { 0 };
	struct buf problem;
	struct db_rows *rows = NULL;
	enum err err;

	buf_init(&problem, PROBLEM_MAX);
	err = prices_import(db, db_prices_json, "builtin", &count, &problem);
	if (err == OK)
		err = db_query(db, DB_MODELS_SEED, NULL, &rows);
	if (err == OK)
		buf_addf(detail,
		    ": %lld prices new, %lld changed, %lld unchanged,"
		    " %lld models new",
		    (long long)count.added, (long long)count.changed,
		    (long long)count.unchanged,
		    (long long)rows_int64(rows, 0, 0));
	if (buf_str(&problem)[0] != '\0')
		(void)printf("prices.json: %s\n", buf_str(&problem));
	rows_free(rows);
	buf_fini(&problem);
	return err;
}

/* Loads a file that is not numbered, in a transaction, if its text changed. */
static enum err
renew(struct db *db, const char *name, const char *text,
    enum err (*load)(struct db *db, struct buf *detail))
{
	const char *args[] = { name, text };
	struct db_rows *rows = NULL;
	struct buf detail;
	enum err err = db_begin(db);

	if (err != OK)
		return err;
	buf_init(&detail, PROBLEM_MAX);
	err = db_query(db, DB_MIGRATIONS_RENEW, args, &rows);
	if (err != OK || rows_count(rows) == 0) {
		db_rollback(db);
		goto out;
	}
	err = load(db, &detail);
	if (err == OK) {
		err = commit_and_say(db, name, buf_str(&detail));
		goto out;
	}
	db_rollback(db);
	(void)printf("failed %s\n", name);
out:
	rows_free(rows);
	buf_fini(&detail);
	return err;
}

static enum err
bring_up_to_date(struct db *db, const struct db_rows *applied)
{
	bool newer;
	enum err err;

	if (compare(applied, &newer) == MIGRATE_TOO_NEW)
		return ERR_CONFLICT;
	err = apply_missing(db, applied);
	/* a newer program has loaded its own, newer views and prices */
	if (err == OK && !newer)
		err = renew(db, "admin.sql", db_admin_sql, load_views);
	if (err == OK && !newer)
		err = renew(db, "prices.json", db_prices_json, load_prices);
	if (err == OK)
		err = db_query(db, DB_MAINTENANCE_PARTITIONS, NULL, NULL);
	return err;
}

enum err
migrate_run(struct db *db)
{
	struct db_rows *applied = NULL;
	enum err err = db_script(db, lock);

	if (err != OK)
		return err;
	err = db_script(db, bookkeeping);
	if (err == OK)
		err = db_query(db, DB_MIGRATIONS_LIST, NULL, &applied);
	if (err == OK)
		err = bring_up_to_date(db, applied);
	rows_free(applied);
	if (err == OK)
		err = db_script(db, unlock);
	return err;
}
