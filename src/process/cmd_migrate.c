/*
 * cmd_migrate.c - `minuted migrate`.
 */
#include "process/commands.h"

#include <stdio.h>

#include "db/migrate.h"

static int
report(const struct db *db, enum err err)
{
	if (err == OK) {
		(void)puts(migrate_state_text(MIGRATE_CURRENT));
		return 0;
	}
	if (err == ERR_CONFLICT)
		(void)fprintf(stderr, "minuted migrate: %s\n",
		    migrate_state_text(MIGRATE_TOO_NEW));
	else
		(void)fprintf(stderr, "minuted migrate: %s (%s, %s)\n",
		    db_fault(db)->message, err_name(err),
		    db_fault(db)->sqlstate);
	return 1;
}

int
cmd_migrate(const struct config *config, int argc, char **argv)
{
	struct db *db;
	int code;

	(void)argv;
	if (argc > 1) {
		(void)fprintf(stderr, "usage: minuted migrate\n");
		return 2;
	}
	/* an index on a large table may take its time, a lock may not */
	db = db_new(&(struct db_options){ .url = config->database_owner_url,
	    .application = "minuted migrate",
	    .lock_ms = config->lock_ms });
	if (db == NULL) {
		(void)fprintf(stderr, "minuted migrate: no memory\n");
		return 1;
	}
	code = report(db, migrate_run(db));
	db_free(db);
	return code;
}
