/*
 * config.h - the settings: one table, read once, constant after.
 *
 * A setting comes from the environment, or else from the file named by
 * --config (KEY=VALUE lines, # comments, optional quotes), or else is the
 * default of the table in config.c.  An empty value is none: the next source
 * counts.  The table is also what `minuted check` prints and what README's
 * table is checked against.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* Strings are never NULL: one that is not set is "".  Comma lists have no
 * blanks and no empty members, URLs no slash at their end. */
struct config {
	/* where things are */
	char *database_url;       /* DATABASE_URL, the worker's role */
	char *database_owner_url; /* DATABASE_OWNER_URL: migrate and commands */
	char *socket;             /* SOCKET: path of the FastCGI socket */
	char *socket_group;       /* SOCKET_GROUP: group of it, "" none */
	char *spool_dir;          /* SPOOL_DIR */
	char *public_url;         /* PUBLIC_URL: what Link headers begin with */

	/* processes */
	int64_t workers;         /* WORKERS, 0: one a core */
	int64_t threads;         /* THREADS: request threads a worker */
	int64_t connections_max; /* CONNECTIONS_MAX: from nginx, a worker */
	int64_t queue_max;       /* QUEUE_MAX: requests that wait, a worker */
	int64_t queue_ms;        /* QUEUE_TIMEOUT, 0: any */
	int64_t drain_ms;        /* DRAIN_TIMEOUT */

	/* credentials */
	char *jwt_secret;           /* JWT_SECRET, at least 32 bytes */
	char *jwt_secret_old;       /* JWT_SECRET_OLD: still accepted */
	int64_t jwt_expires_ms;     /* JWT_EXPIRES_IN */
	int64_t refresh_expires_ms; /* REFRESH_EXPIRES_IN */
	int64_t password_min;       /* PASSWORD_MIN, bytes */
	int64_t auth_stale_ms; /* AUTH_STALE: cache life without PostgreSQL */

	/* edge */
	char *cors_origin; /* CORS_ORIGIN: comma list, exact */
	int64_t body_max;  /* BODY_MAX: ceiling of /v1 bodies, bytes */

	/* providers */
	char *openai_api_key;  /* OPENAI_API_KEY */
	char *openai_base_url; /* OPENAI_BASE_URL */
	char *openai_models;   /* OPENAI_MODELS: comma list, offered as well */
	char *default_model;   /* DEFAULT_MODEL: of calls that name none */
	char *provider_allow;  /* PROVIDER_ALLOW: host[:port] comma list that
	                             may be http or in a private network */
	int64_t connect_ms;    /* PROVIDER_CONNECT_TIMEOUT */
	int64_t first_byte_ms; /* PROVIDER_FIRST_BYTE_TIMEOUT */
	int64_t idle_ms;       /* PROVIDER_IDLE_TIMEOUT */
	int64_t total_ms;      /* PROVIDER_TOTAL_TIMEOUT */
	int64_t client_stall_ms; /* CLIENT_STALL_TIMEOUT: slow readers */
	int64_t echo_pace_ms;    /* ECHO_PACE: between two words */
	int64_t streams_max;     /* STREAMS_MAX: calls at once, a worker */

	/* limits */
	int64_t rate_max;          /* RATE_LIMIT_MAX_REQUESTS (playground) */
	int64_t rate_window_ms;    /* RATE_LIMIT_WINDOW */
	int64_t login_failures;    /* LOGIN_FAILURES_MAX */
	int64_t login_window_ms;   /* LOGIN_WINDOW */
	int64_t registrations_max; /* REGISTRATIONS_MAX */
	int64_t spool_max;         /* SPOOL_MAX, bytes */
	int64_t rows_max;          /* DASHBOARD_MAX: records of a dashboard */

	/* PostgreSQL */
	int64_t statement_ms;   /* STATEMENT_TIMEOUT */
	int64_t lock_ms;        /* LOCK_TIMEOUT */
	int64_t retention_days; /* RETENTION_DAYS, 0: for ever */
	int64_t content_days;   /* CONTENT_RETENTION_DAYS, 0: for ever */

	int64_t log_level; /* LOG_LEVEL: error, warn, info, debug */

	char *path;                 /* the file this was read from, or NULL */
	struct config_store *store; /* origins, provider keys: config's own */
};

/*
 * Reads file (NULL: none) and environment into a new *out, owned by the
 * caller (config_free).  Every mistake is one line in problems ("NAME: what is
 * wrong, what was expected"); ERR_INPUT when there is any, *out is NULL then.
 */
enum err config_load(const char *file, struct buf *problems,
    struct config **out) MUST_CHECK;
void config_free(struct config *config); /* wipes secrets */

/* One line a setting, name, effective value (secrets as "set"/"not set") and
 * source; what `minuted check` prints. */
void config_print(const struct config *config, struct buf *out);

/* The settings as a JSON array of {name,kind,default,secret,required,help}:
 * what the README test reads. */
void config_table_json(struct buf *out);

/* The value of variable name in environment or file, for providers whose row
 * names the variable of their key: only names that end in _API_KEY, so that no
 * row can send another secret away.  Borrowed; NULL when there is none. */
const char *config_secret(const struct config *config, const char *name);

#endif /* CONFIG_CONFIG_H */
