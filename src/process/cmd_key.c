/*
 * cmd_key.c - `minuted key`: API keys by the administrator's hand.
 */
#include <stdio.h>
#include <string.h>

#include "auth/secret.h"
#include "base/clock.h"
#include "process/cmd_account.h"
#include "process/commands.h"

static const char help[] =
    "usage: minuted key add USER [--name NAME] [--expires 30d]\n"
    "       minuted key list USER\n"
    "       minuted key revoke PREFIX|ID\n"
    "\n"
    "USER is a user name or an e-mail address.  add prints the new key, and\n"
    "nothing else, on standard output.  A revoked key stops working within a\n"
    "second.\n";

#define DAY_US (24 * 3600 * (int64_t)1000000)

static int
usage(void)
{
	(void)fputs(help, stderr);
	return CMD_USAGE;
}

/* now + "30d" as text for SQL. */
static bool
read_life(const char *text, char out[CLOCK_TEXT_SIZE])
{
	int64_t ms;

	if (clock_parse_duration(text, &ms) != OK || ms < 1 ||
	    ms > 36500 * (DAY_US / 1000)) {
		(void)fprintf(stderr,
		    "minuted key add: --expires wants a time from now such as "
		    "12h or 30d, not \"%s\"\n",
		    text);
		return false;
	}
	clock_text(clock_wall_us() + ms * 1000, out);
	return true;
}

static int
add(struct db *db, int argc, char **argv)
{
	char id[UUID_TEXT_SIZE], expires[CLOCK_TEXT_SIZE];
	const char *user = NULL, *name = "command line", *until = NULL;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--name") == 0 && i + 1 < argc) {
			name = argv[++i];
		} else if (strcmp(argv[i], "--expires") == 0 && i + 1 < argc) {
			if (!read_life(argv[++i], expires))
				return CMD_USAGE;
			until = expires;
		} else if (argv[i][0] != '-' && user == NULL) {
			user = argv[i];
		} else {
			return usage();
		}
	}
	if (user == NULL)
		return usage();
	if (strlen(name) < 1 || strlen(name) > 100) {
		(void)fputs("minuted key add: NAME has 1 to 100 characters\n",
		    stderr);
		return CMD_USAGE;
	}
	if (!cmd_find_user(db, "key add", user, id))
		return CMD_FAILED;
	return cmd_make_key(db, id, name, until);
}

static int
list(struct db *db, int argc, char **argv)
{
	static const char *const headings[] = { "PREFIX", "ID", "NAME", "STATE",
		"SCOPES", "EXPIRES", "LAST USED", "CREATED", NULL };
	char id[UUID_TEXT_SIZE];
	const char *args[] = { id };
	struct db_rows *rows = NULL;
	enum err err;

	if (argc != 2)
		return usage();
	if (!cmd_find_user(db, "key list", argv[1], id))
		return CMD_FAILED;
	err = db_query(db, DB_APIKEYS_ROWS, args, &rows);
	if (err != OK)
		return cmd_db_failed(db, "key list", err);
	cmd_print_rows(rows, headings);
	rows_free(rows);
	return CMD_OK;
}

static int
revoke(struct db *db, int argc, char **argv)
{
	char prefix[SECRET_PREFIX_SIZE];
	const char *args[1];
	struct db_rows *rows = NULL;
	int code = CMD_FAILED;
	enum err err;

	if (argc != 2)
		return usage();
	args[0] = argv[1];
	if (secret_key_prefix(argv[1], prefix))
		args[0] = prefix;
	err = db_query(db, DB_APIKEYS_REVOKE, args, &rows);
	if (err == OK && rows_count(rows) == 0) {
		(void)fprintf(stderr,
		    "minuted key revoke: no key has the prefix or id \"%s\"\n",
		    args[0]);
	} else if (err == OK) {
		for (size_t i = 0; i < rows_count(rows) && err == OK; i++) {
			(void)printf("revoked %s\n", rows_text(rows, i, 0));
			err = cmd_audit(db, rows_text(rows, i, 1), "key_revoke",
			    rows_text(rows, i, 2));
		}
		code = CMD_OK;
	}
	if (err != OK)
		code = cmd_db_failed(db, "key revoke", err);
	rows_free(rows);
	return code;
}

static const struct {
	const char *name;
	int (*run)(struct db *db, int argc, char **argv);
} verbs[] = { { "add", add }, { "list", list }, { "revoke", revoke } };

int
cmd_key(const struct config *config, int argc, char **argv)
{
	struct db *db;
	int code;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			(void)fputs(help, stdout);
			return CMD_OK;
		}
	}
	for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(verbs[0]);
	     i++) {
		if (strcmp(argv[1], verbs[i].name) != 0)
			continue;
		db = cmd_connect(config, "key");
		if (db == NULL)
			return CMD_FAILED;
		code = verbs[i].run(db, argc - 1, argv + 1);
		db_free(db);
		return code;
	}
	return usage();
}
