/*
 * main.c - the commands.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "config/config.h"
#include "process/commands.h"
#include "process/settings.h"

#define PROBLEMS_MAX ((size_t)64 * 1024)

extern char **environ;

enum needs {
	NEEDS_NOTHING,
	NEEDS_CONFIG,
	TELLS_MORE /* needs it too, but not for its own --help */
};

struct command {
	const char *name;
	enum needs needs;
	int (*run)(const struct config *config, int argc, char **argv);
	const char *arguments;
	const char *help;
};

/* clang-format off */
static const struct command commands[] = {
	{ "serve",   NEEDS_CONFIG,  cmd_serve,   "",                      "serve requests in the foreground; logs to stderr" },
	{ "migrate", NEEDS_CONFIG,  cmd_migrate, "",                      "bring the database's schema up to date" },
	{ "check",   NEEDS_CONFIG,  cmd_check,   "",                      "check the settings and print them, secrets masked" },
	{ "user",    TELLS_MORE,    cmd_user,    "add|list|disable|enable|passwd ...", "manage users" },
	{ "key",     TELLS_MORE,    cmd_key,     "add|list|revoke ...",   "manage API keys" },
	{ "limit",   TELLS_MORE,    cmd_limit,   "set|list ...",          "what users and keys may use" },
	{ "prices",  NEEDS_CONFIG,  cmd_prices,  "import FILE",           "load model prices" },
	{ "spool",   TELLS_MORE,    cmd_spool,   "status|verify|replay",  "look after records that wait for PostgreSQL" },
	{ "routes",  NEEDS_NOTHING, cmd_routes,  "[--json]",              "print every route" },
	{ "settings", NEEDS_NOTHING, cmd_settings, "",                    "print every setting as JSON" },
	{ "version", NEEDS_NOTHING, cmd_version, "",                      "print the version, and those of the libraries" },
};
/* clang-format on */

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static int
usage(FILE *out, int code)
{
	(void)fprintf(out,
	    "minuted answers for language models and keeps the minutes.\n\n"
	    "usage: minuted [--config FILE] COMMAND [ARGUMENTS]\n\n"
	    "commands:\n");
	for (size_t i = 0; i < COMMANDS; i++)
		(void)fprintf(out, "  %-8s %-36s %s\n", commands[i].name,
		    commands[i].arguments, commands[i].help);
	(void)fprintf(out,
	    "\nSettings come from the environment, then from FILE (KEY=VALUE "
	    "lines);\n`minuted settings` lists them.  `minuted COMMAND --help` "
	    "tells more.\nRun as a CGI program (REQUEST_METHOD is set), "
	    "minuted answers one request.\n");
	return code;
}

static bool
asks_for_help(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0)
			return true;
	}
	return false;
}

static int
help(const struct command *command, int argc, char **argv)
{
	if (command->needs == TELLS_MORE)
		return command->run(NULL, argc, argv);
	(void)printf("usage: minuted %s %s\n\n%s\n", command->name,
	    command->arguments, command->help);
	return 0;
}

static int
run(const struct command *command, const char *file, int argc, char **argv)
{
	struct config *config = NULL;
	struct buf problems;
	int code = 1;

	if (asks_for_help(argc, argv))
		return help(command, argc, argv);
	if (command->needs == NEEDS_NOTHING)
		return command->run(NULL, argc, argv);
	buf_init(&problems, PROBLEMS_MAX);
	if (settings_load(file, &problems, &config) != OK)
		(void)fprintf(stderr, "%s", buf_str(&problems));
	else
		code = command->run(config, argc, argv);
	buf_fini(&problems);
	config_free(config);
	return code;
}

static const struct command *
find(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

static bool
is_cgi(void)
{
	for (char **entry = environ; *entry != NULL; entry++) {
		if (strncmp(*entry, "REQUEST_METHOD=", 15) == 0)
			return true;
	}
	return false;
}

int
main(int argc, char **argv)
{
	const char *file = NULL;
	const struct command *command;
	int at = 1;

	log_setup(LOG_INFO, "minuted");
	if (argc == 1 && is_cgi())
		return cgi_main(environ);
	if (at + 1 < argc && strcmp(argv[at], "--config") == 0) {
		file = argv[at + 1];
		at += 2;
	}
	if (at >= argc)
		return usage(stderr, 2);
	if (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "-h") == 0 ||
	    strcmp(argv[at], "help") == 0)
		return usage(stdout, 0);
	if (strcmp(argv[at], "--version") == 0)
		return cmd_version(NULL, 0, NULL);
	command = find(argv[at]);
	if (command == NULL) {
		(void)fprintf(stderr, "minuted: there is no command \"%s\"\n\n",
		    argv[at]);
		return usage(stderr, 2);
	}
	return run(command, file, argc - at, argv + at);
}
