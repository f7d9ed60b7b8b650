/*
 * config_table.h - the rows of the settings table.
 *
 * For the files of config/ and their tests; others read struct config.
 */
#ifndef CONFIG_CONFIG_TABLE_H
#define CONFIG_CONFIG_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

/* The C type of the field follows from the kind: char * or int64_t. */
enum config_kind {
	CONFIG_STRING,   /* min and max: bytes */
	CONFIG_CONNINFO, /* libpq: a postgresql:// URI or keyword=value pairs */
	CONFIG_URL,      /* http or https, no user, no query */
	CONFIG_ORIGINS,  /* comma list of scheme://host[:port] */
	CONFIG_HOSTS,    /* comma list of host[:port] */
	CONFIG_LIST,     /* comma list of any words */
	CONFIG_INT,
	CONFIG_DURATION, /* milliseconds; "15m", a bare number is seconds */
	CONFIG_BYTES,    /* "64m", a bare number is bytes */
	CONFIG_LEVEL,    /* enum log_level */
	CONFIG_KIND_COUNT
};

enum { CONFIG_SECRET = 1, CONFIG_REQUIRED = 2 };

struct config_option {
	const char *name;
	enum config_kind kind;
	size_t offset;        /* of the field in struct config */
	const char *fallback; /* as it would be written; "" none */
	unsigned int flags;
	int64_t min;
	int64_t max;
	const char *help;
};

/* In alphabetical order of name. */
extern const struct config_option config_options[];
extern const size_t config_options_len;

enum config_source { CONFIG_DEFAULT = 0, CONFIG_ENVIRONMENT, CONFIG_FILE };

struct config_key {
	char *name;
	char *value;
	enum config_source source;
};

struct config_store {
	enum config_source *sources; /* one an option */
	struct config_key *keys;     /* the provider keys that are set */
	size_t keys_len;
};

#endif /* CONFIG_CONFIG_TABLE_H */
