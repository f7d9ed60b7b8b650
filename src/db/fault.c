/*
 * fault.c - what an SQLSTATE means to the program.
 */
#include "db/fault.h"

#include <stddef.h>
#include <string.h>

/* A state or the start of one; the first row that fits decides. */
static const struct {
	const char *prefix;
	enum err err;
} meanings[] = {
	{ "08", ERR_BUSY },                             /* the connection */
	{ "22", ERR_INPUT },                            /* a value */
	{ "23505", ERR_CONFLICT }, { "23", ERR_INPUT }, /* a constraint */
	{ "25006", ERR_BUSY }, /* read-only: a standby, or being one soon */
	{ "25P03", ERR_BUSY }, /* idle in a transaction for too long */
	{ "26", ERR_BUSY },    /* prepared again at the next try */
	{ "28", ERR_BUSY },    /* the password is being changed */
	{ "3D", ERR_BUSY },    /* the database is not there yet */
	{ "40", ERR_BUSY },    /* serialization, deadlock */
	{ "53", ERR_BUSY },    /* disk, memory, connections */
	{ "54", ERR_INPUT },   /* over a limit of PostgreSQL */
	{ "55P03", ERR_TIMEOUT }, { "55", ERR_BUSY }, { "57014", ERR_TIMEOUT },
	{ "57", ERR_BUSY },     /* starting, stopping, crashed */
	{ "58", ERR_BUSY },     /* the operating system below it */
	{ "P0001", ERR_INPUT }, /* raised by our functions */
};

/* As above.  A message of class 22 quotes the value. */
static const struct {
	const char *prefix;
	const char *text;
} words[] = {
	{ "22001", "a text is too long" },
	{ "22003", "a number is out of range" },
	{ "22007", "a time is none" },
	{ "22008", "a time is out of range" },
	{ "22021", "a text is not UTF-8" },
	{ "22P02", "a value is none of its type" },
	{ "22P05", "a text has a character that cannot be kept" },
	{ "22", "a value cannot be taken" },
};

static bool
begins_with(const char *sqlstate, const char *prefix)
{
	return strncmp(sqlstate, prefix, strlen(prefix)) == 0;
}

enum err
fault_err(const char *sqlstate)
{
	for (size_t i = 0; i < sizeof(meanings) / sizeof(*meanings); i++)
		if (begins_with(sqlstate, meanings[i].prefix))
			return meanings[i].err;
	return ERR_BUG;
}

bool
fault_is_stale_statement(const char *sqlstate)
{
	/* 0A000 is also "cached plan must not change result type"; 42P05 says
	 * that it is there, when the answer to that was lost for want of memory */
	return strcmp(sqlstate, "26000") == 0 ||
	       strcmp(sqlstate, "0A000") == 0 || strcmp(sqlstate, "42P05") == 0;
}

const char *
fault_words(const char *sqlstate)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (begins_with(sqlstate, words[i].prefix))
			return words[i].text;
	return NULL;
}
