/*
 * cmd_account.c - what the commands about users and keys share.
 */
#include "process/cmd_account.h"

#include <stdio.h>
#include <string.h>

#include "api/apikeys.h"

#define COLUMNS_MAX 10

struct db *
cmd_connect(const struct config *config, const char *command)
{
	struct db *db =
	    db_new(&(struct db_options){ .url = config->database_owner_url,
		.application = "minuted command",
		.statement_ms = config->statement_ms,
		.lock_ms = config->lock_ms });
	enum err err = db == NULL ? ERR_MEMORY : db_connect(db);

	if (err == OK)
		return db;
	(void)fprintf(stderr, "minuted %s: cannot reach the database: %s\n",
	    command, db == NULL ? err_name(err) : db_fault(db)->message);
	db_free(db);
	return NULL;
}

int
cmd_db_failed(const struct db *db, const char *command, enum err err)
{
	const char *why = db_fault(db)->message;

	(void)fprintf(stderr, "minuted %s: %s\n", command,
	    why[0] == '\0' ? err_name(err) : why);
	return CMD_FAILED;
}

bool
cmd_find_user(struct db *db, const char *command, const char *name,
    char id[UUID_TEXT_SIZE])
{
	const char *args[] = { name };
	struct db_rows *rows = NULL;
	bool found = false;
	enum err err;

	err = db_query(db, DB_ACCOUNTS_FIND, args, &rows);
	if (err != OK) {
		(void)cmd_db_failed(db, command, err);
	} else if (rows_count(rows) == 0) {
		(void)fprintf(stderr, "minuted %s: there is no user \"%s\"\n",
		    command, name);
	} else if (rows_len(rows, 0, 0) < UUID_TEXT_SIZE) {
		memcpy(id, rows_text(rows, 0, 0), rows_len(rows, 0, 0) + 1);
		found = true;
	}
	rows_free(rows);
	return found;
}

enum err
cmd_audit(struct db *db, const char *user, const char *action,
    const char *object)
{
	const char *args[] = { user, action, "command", object, NULL };

	return db_query(db, DB_AUDIT_ADD, args, NULL);
}

int
cmd_make_key(struct db *db, const char *user, const char *name,
    const char *expires_at)
{
	const struct apikey_new from = { .user_id = user,
		.name = name,
		.scopes = "{}",
		.expires_at = expires_at };
	struct apikey made;
	enum err err;

	err = apikey_insert(db, &from, &made);
	if (err == OK)
		err = cmd_audit(db, user, "key_create", made.id);
	if (err != OK)
		return cmd_db_failed(db, "key add", err);
	(void)fprintf(stderr, "key %s (%s); it is shown this once\n",
	    made.prefix, made.id);
	(void)printf("%s\n", made.key);
	explicit_bzero(&made, sizeof(made));
	return fflush(stdout) == 0 ? CMD_OK : CMD_FAILED;
}

/* The widest of a column and its heading. */
static int
column_width(const struct db_rows *rows, size_t column, const char *heading)
{
	size_t width = strlen(heading);

	for (size_t i = 0; i < rows_count(rows); i++) {
		if (rows_len(rows, i, column) > width)
			width = rows_len(rows, i, column);
	}
	return (int)width;
}

static void
print_cell(const char *text, int width, bool last)
{
	if (last)
		(void)printf("%s\n", text);
	else
		(void)printf("%-*s  ", width, text);
}

void
cmd_print_rows(const struct db_rows *rows, const char *const *headings)
{
	int widths[COLUMNS_MAX];
	size_t columns = 0;

	for (; columns < COLUMNS_MAX && headings[columns] != NULL; columns++)
		widths[columns] =
		    column_width(rows, columns, headings[columns]);
	for (size_t c = 0; c < columns; c++)
		print_cell(headings[c], widths[c], c + 1 == columns);
	for (size_t i = 0; i < rows_count(rows); i++) {
		for (size_t c = 0; c < columns; c++)
			print_cell(rows_text(rows, i, c), widths[c],
			    c + 1 == columns);
	}
}
