/*
 * cmd_check.c - `minuted check` and `minuted version`.
 */
#include "process/commands.h"

#include <stdio.h>

#include "api/service.h"
#include "auth/password.h"
#include "auth/secret.h"
#include "auth/token.h"
#include "base/buf.h"
#include "db/db.h"
#include "http/fcgi.h"
#include "llm/transfer.h"
#include "json/read.h"

#define TEXT_MAX ((size_t)64 * 1024)

static const struct {
	const char *name;
	const char *(*text)(void);
} libraries[] = {
	{ "libfcgi", fcgi_library_version },
	{ "libcurl", transfer_library_version },
	{ "json-c", read_library_version },
	{ "libpq", db_library_version },
	{ "libjwt", token_library_version },
	{ "argon2", password_library_version },
	{ "libcrypto", secret_library_version },
};

int
cmd_check(const struct config *config, int argc, char **argv)
{
	struct buf text;

	(void)argv;
	if (argc > 1) {
		(void)fprintf(stderr, "minuted check takes no arguments\n");
		return 2;
	}
	buf_init(&text, TEXT_MAX);
	config_print(config, &text);
	(void)fputs(buf_str(&text), stdout);
	buf_fini(&text);
	return 0;
}

int
cmd_version(const struct config *config, int argc, char **argv)
{
	(void)config;
	(void)argc;
	(void)argv;
	(void)printf("minuted %s\n", service_version());
	for (size_t i = 0; i < sizeof(libraries) / sizeof(libraries[0]); i++)
		(void)printf("%s %s\n", libraries[i].name, libraries[i].text());
	return 0;
}
