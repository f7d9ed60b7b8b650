/*
 * migrate.h - the schema: numbered, forward-only files built into the program.
 */
#ifndef DB_MIGRATE_H
#define DB_MIGRATE_H

#include "base/err.h"
#include "db/db.h"

/* Runs what is missing, one transaction each, the bookkeeping row first (two
 * concurrent runs collide on it).  Prints a line a migration to stdout. */
enum err migrate_run(struct db *db) MUST_CHECK;

enum migrate_state {
	MIGRATE_CURRENT,
	MIGRATE_TOO_OLD, /* `minuted migrate` has to run */
	MIGRATE_TOO_NEW, /* the database is from a newer minuted */
	MIGRATE_NONE     /* no schema at all */
};

/* What the database has, against what this program needs. */
enum err migrate_check(struct db *db, enum migrate_state *out) MUST_CHECK;

#endif /* DB_MIGRATE_H */
