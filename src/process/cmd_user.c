/*
 * cmd_user.c - `minuted user`: users by the administrator's hand.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "api/account_form.h"
#include "api/account_store.h"
#include "auth/password.h"
#include "auth/secret.h"
#include "process/cmd_account.h"
#include "process/commands.h"

static const char help[] =
    "usage: minuted user add NAME [--email EMAIL] [--password-stdin] "
    "[--admin]\n"
    "                             [--key]\n"
    "       minuted user list\n"
    "       minuted user disable|enable NAME\n"
    "       minuted user passwd NAME [--password-stdin]\n"
    "\n"
    "NAME is a user name or an e-mail address.  A password is read from the\n"
    "first line of standard input, or made and shown.  add --key prints an "
    "API\n"
    "key, and nothing else, on standard output.  disable and passwd end every\n"
    "login of the user.\n";

#define NAME_MAX_BYTES 150
#define EMAIL_SIZE     321

struct wish { /* the arguments of a verb */
	const struct config *config;
	struct db *db;
	const char *name, *email;
	bool from_stdin, admin, key;
};

struct password {
	char text[PASSWORD_MAX + 2];
	size_t len;
	bool made;
};

static int
usage(void)
{
	(void)fputs(help, stderr);
	return CMD_USAGE;
}

static int
say(const char *text)
{
	(void)fprintf(stderr, "minuted user: %s\n", text);
	return CMD_FAILED;
}

static bool
read_line(struct password *out)
{
	if (fgets(out->text, sizeof(out->text), stdin) == NULL)
		return false;
	out->len = strcspn(out->text, "\r\n");
	out->text[out->len] = '\0';
	return true;
}

/* The password that the user gets, read or made. */
static bool
get_password(const struct wish *wish, const char *email, struct password *out)
{
	const char *fault;

	memset(out, 0, sizeof(*out));
	if (!wish->from_stdin) {
		if (secret_password_make(out->text) != OK) {
			(void)say("no randomness for a password");
			return false;
		}
		out->len = strlen(out->text);
		out->made = true;
		return true;
	}
	if (!read_line(out)) {
		(void)say("no password on standard input");
		return false;
	}
	fault = password_refuse(out->text, out->len,
	    (size_t)wish->config->password_min, email, wish->name);
	if (fault == NULL)
		return true;
	(void)fprintf(stderr, "minuted user: the password %s\n", fault);
	return false;
}

/* With --key, stdout is for the key alone. */
static void
show_password(const struct password *password, bool key)
{
	if (password->made)
		(void)fprintf(key ? stderr : stdout, "%s%s\n",
		    key ? "password " : "", password->text);
}

/* --- add -------------------------------------------------------------- */

static int
check_name(const struct wish *wish, struct account_new *out)
{
	*out = (struct account_new){ .username = wish->name,
		.email = wish->email };
	if (out->email == NULL && strchr(wish->name, '@') != NULL)
		out->email = wish->name;
	if (strlen(wish->name) < 1 || strlen(wish->name) > NAME_MAX_BYTES)
		return say("NAME has 1 to 150 characters");
	if (out->email != NULL && !account_form_is_email(out->email))
		return say("that is no e-mail address");
	if (!account_form_agree(wish->name, out->email))
		return say("a NAME with an @ has to be the e-mail address");
	for (const char *c = wish->name; *c != '\0'; c++) {
		if ((unsigned char)*c <= ' ' || *c == 0x7f)
			return say("NAME may not hold blanks or controls");
	}
	return CMD_OK;
}

/* Everything in one transaction: a key without its user would be lost. */
static int
add_in(const struct wish *wish, const struct account_new *from,
    const char *hash)
{
	char id_text[UUID_TEXT_SIZE];
	struct uuid id;
	enum err err;

	err = account_insert(wish->db, from, hash,
	    wish->admin ? "admin" : "user", &id);
	if (err == ERR_CONFLICT)
		return say("that name or e-mail address is taken");
	if (err == OK) {
		uuid_text(&id, id_text);
		err = cmd_audit(wish->db, id_text, "user_add", NULL);
	}
	if (err == OK)
		err = db_commit(wish->db);
	if (err != OK)
		return cmd_db_failed(wish->db, "user add", err);
	(void)fprintf(stderr, "user %s (%s)\n", wish->name, id_text);
	if (!wish->key)
		return CMD_OK;
	return cmd_make_key(wish->db, id_text, "command line", NULL);
}

/* account_form_is_email() has seen to its length. */
static void
lower(const char *text, char out[EMAIL_SIZE])
{
	do
		*out++ = (char)tolower((unsigned char)*text);
	while (*text++ != '\0');
}

static int
add(const struct wish *wish)
{
	char hash[PASSWORD_HASH_SIZE], email[EMAIL_SIZE];
	struct account_new from;
	struct password password;
	int code = check_name(wish, &from);

	if (code != CMD_OK)
		return code;
	if (from.email != NULL) {
		lower(from.email, email);
		from.email = email;
	}
	if (!get_password(wish, from.email, &password))
		return CMD_FAILED;
	if (password_hash(password.text, password.len, hash) != OK)
		code = say("the password cannot be hashed");
	else if (db_begin(wish->db) != OK)
		code = cmd_db_failed(wish->db, "user add", ERR_BUSY);
	else
		code = add_in(wish, &from, hash);
	if (code == CMD_OK)
		show_password(&password, wish->key);
	explicit_bzero(&password, sizeof(password));
	return code;
}

/* --- the others ------------------------------------------------------- */

static int
list(const struct wish *wish)
{
	static const char *const headings[] = { "ID", "NAME", "E-MAIL", "ROLE",
		"STATE", "CREATED", "KEYS", NULL };
	struct db_rows *rows = NULL;
	enum err err;

	err = db_query(wish->db, DB_ACCOUNTS_LIST, NULL, &rows);
	if (err != OK)
		return cmd_db_failed(wish->db, "user list", err);
	cmd_print_rows(rows, headings);
	rows_free(rows);
	return CMD_OK;
}

/* Changes the user by stmt, and ends every login when ends is set. */
static int
change(const struct wish *wish, enum db_stmt stmt, const char *second,
    const char *action, bool ends)
{
	char id[UUID_TEXT_SIZE];
	const char *args[] = { id, second };
	const char *all[] = { id, NULL };
	enum err err;

	if (!cmd_find_user(wish->db, "user", wish->name, id))
		return CMD_FAILED;
	err = db_begin(wish->db);
	if (err == OK)
		err = db_query(wish->db, stmt, args, NULL);
	if (err == OK && ends)
		err = db_query(wish->db, DB_ACCOUNTS_REVOKE_OTHERS, all, NULL);
	if (err == OK)
		err = cmd_audit(wish->db, id, action, NULL);
	if (err == OK)
		err = db_commit(wish->db);
	if (err != OK)
		return cmd_db_failed(wish->db, "user", err);
	(void)fprintf(stderr, "%s: %s\n", action, wish->name);
	return CMD_OK;
}

static int
disable(const struct wish *wish)
{
	return change(wish, DB_ACCOUNTS_DISABLE, NULL, "user_disable", true);
}

static int
enable(const struct wish *wish)
{
	return change(wish, DB_ACCOUNTS_ENABLE, NULL, "user_enable", false);
}

static int
passwd(const struct wish *wish)
{
	char hash[PASSWORD_HASH_SIZE], id[UUID_TEXT_SIZE];
	struct password password;
	int code = CMD_FAILED;

	if (!cmd_find_user(wish->db, "user", wish->name, id) ||
	    !get_password(wish, NULL, &password))
		return CMD_FAILED;
	if (password_hash(password.text, password.len, hash) != OK)
		code = say("the password cannot be hashed");
	else
		code =
		    change(wish, DB_ACCOUNTS_RESET, hash, "user_passwd", true);
	if (code == CMD_OK)
		show_password(&password, false);
	explicit_bzero(&password, sizeof(password));
	return code;
}

/* --- arguments -------------------------------------------------------- */

enum takes { TAKES_NAME = 1, TAKES_PASSWORD = 2, TAKES_ALL = 4 };

static const struct verb {
	const char *name;
	int (*run)(const struct wish *wish);
	unsigned takes;
} verbs[] = {
	{ "add", add, TAKES_NAME | TAKES_PASSWORD | TAKES_ALL },
	{ "list", list, 0 },
	{ "disable", disable, TAKES_NAME },
	{ "enable", enable, TAKES_NAME },
	{ "passwd", passwd, TAKES_NAME | TAKES_PASSWORD },
};

static const struct verb *
find_verb(const char *name)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	}
	return NULL;
}

/* False when an argument is not one of the verb's. */
static bool
read_wish(const struct verb *verb, int argc, char **argv, struct wish *out)
{
	bool all = (verb->takes & TAKES_ALL) != 0;

	for (int i = 0; i < argc; i++) {
		if ((verb->takes & TAKES_PASSWORD) != 0 &&
		    strcmp(argv[i], "--password-stdin") == 0)
			out->from_stdin = true;
		else if (all && strcmp(argv[i], "--admin") == 0)
			out->admin = true;
		else if (all && strcmp(argv[i], "--key") == 0)
			out->key = true;
		else if (all && strcmp(argv[i], "--email") == 0 && i + 1 < argc)
			out->email = argv[++i];
		else if ((verb->takes & TAKES_NAME) != 0 && argv[i][0] != '-' &&
			 out->name == NULL)
			out->name = argv[i];
		else
			return false;
	}
	return (verb->takes & TAKES_NAME) == 0 || out->name != NULL;
}

int
cmd_user(const struct config *config, int argc, char **argv)
{
	const struct verb *verb = argc > 1 ? find_verb(argv[1]) : NULL;
	struct wish wish = { .config = config };
	int code;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			(void)fputs(help, stdout);
			return CMD_OK;
		}
	}
	if (verb == NULL || !read_wish(verb, argc - 2, argv + 2, &wish))
		return usage();
	wish.db = cmd_connect(config, "user");
	if (wish.db == NULL)
		return CMD_FAILED;
	code = verb->run(&wish);
	db_free(wish.db);
	return code;
}
