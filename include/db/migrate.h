/*
 * migrate.h - the schema: numbered, forward-only files built into the program.
 *
 * A program serves a database that is newer than itself, unless a migration
 * that it does not know is named *_breaking.
 */
#ifndef DB_MIGRATE_H
#define DB_MIGRATE_H

#include "base/err.h"
#include "db/db.h"

/*
 * Runs what is missing, one transaction each, the bookkeeping row first, under
 * a lock that makes concurrent runs wait for each other; then the views of
 * sql/admin.sql and the built-in prices when their text has changed.  Prints a
 * line a step to stdout.  On failure what was printed stays, db_fault() says
 * why.  ERR_CONFLICT when the database is too new.
 */
enum err migrate_run(struct db *db) MUST_CHECK;

enum migrate_state {
	MIGRATE_CURRENT,
	MIGRATE_TOO_OLD, /* `minuted migrate` has to run */
	MIGRATE_TOO_NEW, /* the database is from a newer minuted */
	MIGRATE_NONE     /* no schema at all */
};

/* What the database has, against what this program needs. */
enum err migrate_check(struct db *db, enum migrate_state *out) MUST_CHECK;

/* One line for the administrator, saying what to do. */
const char *migrate_state_text(enum migrate_state state);

#endif /* DB_MIGRATE_H */
