/*
 * cmd_limit.c - `minuted limit`: what users and keys may use.
 */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "process/cmd_account.h"
#include "process/commands.h"

static const char help[] =
    "usage: minuted limit set USER requests|calls|tokens|budget AMOUNT|none\n"
    "                         [--key PREFIX] [--window 60s]\n"
    "       minuted limit list [USER]\n"
    "\n"
    "requests   in a window of --window (seconds, or 90s, 15m, 24h)\n"
    "calls      model calls at the same time\n"
    "tokens     of model calls, a minute\n"
    "budget     USD a month (UTC)\n"
    "\n"
    "USER is a user name or an e-mail address.  With --key the limit is that\n"
    "key's alone, beside the user's: both apply.  A running minuted follows\n"
    "within a second.\n";

#define NUMBER_SIZE  32
#define WINDOW_MAX_S 86400

struct wish {
	struct db *db;
	const char *words[3]; /* of set: user, what, amount; of list: user */
	size_t count;
	const char *key;
	const char *window; /* seconds */
	char window_text[NUMBER_SIZE];
};

static int
usage(void)
{
	(void)fputs(help, stderr);
	return CMD_USAGE;
}

/* A decimal number with at most one point, as PostgreSQL's numeric reads it. */
static bool
is_amount(const char *text)
{
	size_t digits = strspn(text, "0123456789");
	const char *rest = text + digits;

	if (*rest == '.') {
		size_t more = strspn(rest + 1, "0123456789");

		digits += more;
		rest += 1 + more;
	}
	return digits > 0 && strlen(text) < NUMBER_SIZE && *rest == '\0';
}

/* "15m" as seconds; false for what is no duration of a day at most. */
static bool
read_window(const char *text, char out[NUMBER_SIZE])
{
	static const struct {
		const char *unit;
		long seconds;
	} units[] = { { "", 1 }, { "s", 1 }, { "m", 60 }, { "h", 3600 } };
	size_t digits = strspn(text, "0123456789");
	long value = 0;
	struct buf buf;

	if (digits == 0 || digits > 5)
		return false;
	for (size_t i = 0; i < digits; i++)
		value = value * 10 + (text[i] - '0');
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(text + digits, units[i].unit) != 0)
			continue;
		value *= units[i].seconds;
		if (value < 1 || value > WINDOW_MAX_S)
			return false;
		buf_init(&buf, NUMBER_SIZE);
		buf_addf(&buf, "%ld", value);
		memcpy(out, buf_str(&buf), buf.len + 1);
		buf_fini(&buf);
		return true;
	}
	return false;
}

static int
set(const struct wish *wish)
{
	const char *amount = wish->words[2];
	const char *args[] = { wish->words[0], wish->key, wish->words[1],
		amount, wish->window };
	struct db_rows *rows = NULL;
	enum err err;

	if (amount != NULL && strcmp(amount, "none") == 0)
		args[3] = NULL;
	err = db_query(wish->db, DB_LIMITS_SET, args, &rows);
	if (err != OK)
		return cmd_db_failed(wish->db, "limit set", err);
	(void)fprintf(stderr, "%s\n", rows_text(rows, 0, 0));
	rows_free(rows);
	return CMD_OK;
}

static int
list(const struct wish *wish)
{
	static const char *const headings[] = { "USER", "KEY", "REQUESTS",
		"WINDOW", "CALLS", "TOKENS", "USD", "SPENT", NULL };
	const char *args[] = { wish->count > 0 ? wish->words[0] : NULL };
	struct db_rows *rows = NULL;
	enum err err;

	err = db_query(wish->db, DB_LIMITS_LIST, args, &rows);
	if (err != OK)
		return cmd_db_failed(wish->db, "limit list", err);
	cmd_print_rows(rows, headings);
	rows_free(rows);
	return CMD_OK;
}

/* False when an argument is none of the verb's. */
static bool
read_wish(int argc, char **argv, bool options, struct wish *out)
{
	for (int i = 0; i < argc; i++) {
		bool more = options && i + 1 < argc;

		if (more && strcmp(argv[i], "--key") == 0)
			out->key = argv[++i];
		else if (more && strcmp(argv[i], "--window") == 0 &&
			 read_window(argv[++i], out->window_text))
			out->window = out->window_text;
		else if (argv[i][0] != '-' && out->count < 3)
			out->words[out->count++] = argv[i];
		else
			return false;
	}
	return true;
}

static bool
is_complete(const struct wish *wish)
{
	static const char *const kinds[] = { "requests", "calls", "tokens",
		"budget" };

	if (wish->count != 3)
		return false;
	if (wish->window != NULL && strcmp(wish->words[1], "requests") != 0)
		return false;
	if (strcmp(wish->words[2], "none") != 0 && !is_amount(wish->words[2]))
		return false;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(wish->words[1], kinds[i]) == 0)
			return true;
	}
	return false;
}

int
cmd_limit(const struct config *config, int argc, char **argv)
{
	struct wish wish = { .count = 0 };
	bool sets = argc > 1 && strcmp(argv[1], "set") == 0;
	bool lists = argc > 1 && strcmp(argv[1], "list") == 0;
	int code;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			(void)fputs(help, stdout);
			return CMD_OK;
		}
	}
	if ((!sets && !lists) || !read_wish(argc - 2, argv + 2, sets, &wish) ||
	    (sets ? !is_complete(&wish) : wish.count > 1))
		return usage();
	wish.db = cmd_connect(config, "limit");
	if (wish.db == NULL)
		return CMD_FAILED;
	code = sets ? set(&wish) : list(&wish);
	db_free(wish.db);
	return code;
}
