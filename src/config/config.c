/*
 * config.c - the settings: the table, and one reading of it.
 */
#include "config/config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config_file.h"
#include "config/config_table.h"
#include "config/config_value.h"

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define KIB    INT64_C(1024)
#define MIB    (1024 * KIB)
#define GIB    (1024 * MIB)
#define TIB    (1024 * GIB)

#define TEXT_MAX     4096 /* bytes of a string */
#define SOCKET_MAX   107  /* what sockaddr_un has room for */
#define SECRET_MIN   32   /* as many bits as the HMAC's hash has */
#define COUNT_MAX    1000000
#define REQUESTS_MAX INT64_C(1000000000)

/* What deploy/minuted.env.example shows must sign nothing. */
#define SAMPLE_SECRET "replace-me-with-the-output-of-openssl-rand-hex-32"

#define OPT(name, kind, field, fallback, flags, min, max, help)                \
	{                                                                      \
		name, CONFIG_##kind, offsetof(struct config, field), fallback, \
		    flags, min, max, help                                      \
	}
#define SECRET   CONFIG_SECRET
#define REQUIRED CONFIG_REQUIRED

const struct config_option config_options[] = {
	OPT("AUTH_STALE", DURATION, auth_stale_ms, "1h", 0, 0, 7 * DAY,
	    "how long cached users and keys serve without PostgreSQL"),
	OPT("BODY_MAX", BYTES, body_max, "8m", 0, KIB, GIB,
	    "largest request body of the /v1 routes"),
	OPT("CLIENT_STALL_TIMEOUT", DURATION, client_stall_ms, "30s", 0, 1, DAY,
	    "a streaming client that reads nothing for so long is cut"),
	OPT("CONNECTIONS_MAX", INT, connections_max, "20000", 0, 1, COUNT_MAX,
	    "connections from nginx, a worker"),
	OPT("CONTENT_RETENTION_DAYS", INT, content_days, "0", 0, 0, 36500,
	    "days that texts of calls are kept, 0: for ever"),
	OPT("CORS_ORIGIN", ORIGINS, cors_origin, "", 0, 0, TEXT_MAX,
	    "comma list of origins that browsers may call from"),
	OPT("DASHBOARD_MAX", INT, rows_max, "1000", 0, 1, COUNT_MAX,
	    "records of one dashboard answer"),
	OPT("DATABASE_OWNER_URL", CONNINFO, database_owner_url, "", SECRET, 0,
	    TEXT_MAX, "PostgreSQL as the owner; none: DATABASE_URL"),
	OPT("DATABASE_URL", CONNINFO, database_url, "", SECRET | REQUIRED, 0,
	    TEXT_MAX, "PostgreSQL as the workers' role"),
	OPT("DEFAULT_MODEL", STRING, default_model, "", 0, 0, 200,
	    "model of calls that name none"),
	OPT("DRAIN_TIMEOUT", DURATION, drain_ms, "30s", 0, 0, DAY,
	    "how long a stopping worker lets its requests end"),
	OPT("ECHO_PACE", DURATION, echo_pace_ms, "20ms", 0, 0, MINUTE,
	    "pause between two words of the echo model"),
	OPT("JWT_EXPIRES_IN", DURATION, jwt_expires_ms, "15m", 0, SECOND,
	    365 * DAY, "life of an access token"),
	OPT("JWT_SECRET", STRING, jwt_secret, "", SECRET | REQUIRED, SECRET_MIN,
	    TEXT_MAX, "signs access tokens, at least 32 bytes"),
	OPT("JWT_SECRET_OLD", STRING, jwt_secret_old, "", SECRET, SECRET_MIN,
	    TEXT_MAX, "the secret before this one, still accepted"),
	OPT("LOCK_TIMEOUT", DURATION, lock_ms, "2s", 0, 1, HOUR,
	    "longest wait for a lock of PostgreSQL"),
	OPT("LOGIN_FAILURES_MAX", INT, login_failures, "10", 0, 1, COUNT_MAX,
	    "wrong passwords of an account from an address in LOGIN_WINDOW; "
	    "ten times as many from an address"),
	OPT("LOGIN_WINDOW", DURATION, login_window_ms, "15m", 0, SECOND, DAY,
	    "what LOGIN_FAILURES_MAX and REGISTRATIONS_MAX count in"),
	OPT("LOG_LEVEL", LEVEL, log_level, "info", 0, 0, 0,
	    "error, warn, info or debug"),
	OPT("OPENAI_API_KEY", STRING, openai_api_key, "", SECRET, 0, TEXT_MAX,
	    "key of the provider at OPENAI_BASE_URL"),
	OPT("OPENAI_BASE_URL", URL, openai_base_url,
	    "https://api.openai.com/v1", 0, 0, TEXT_MAX,
	    "any OpenAI-compatible server"),
	OPT("OPENAI_MODELS", LIST, openai_models, "", 0, 0, TEXT_MAX,
	    "comma list of models offered from OPENAI_BASE_URL"),
	OPT("PASSWORD_MIN", INT, password_min, "8", 0, 8, 128,
	    "least bytes of a password"),
	OPT("PROVIDER_ALLOW", HOSTS, provider_allow, "", 0, 0, TEXT_MAX,
	    "comma list of host[:port] that may be http or private"),
	OPT("PROVIDER_CONNECT_TIMEOUT", DURATION, connect_ms, "10s", 0, 1, DAY,
	    "connecting to a provider"),
	OPT("PROVIDER_FIRST_BYTE_TIMEOUT", DURATION, first_byte_ms, "120s", 0,
	    1, DAY, "from the request to the provider's first byte"),
	OPT("PROVIDER_IDLE_TIMEOUT", DURATION, idle_ms, "60s", 0, 1, DAY,
	    "longest silence inside a provider's answer"),
	OPT("PROVIDER_TOTAL_TIMEOUT", DURATION, total_ms, "30m", 0, 1, DAY,
	    "a provider's whole answer"),
	OPT("PUBLIC_URL", URL, public_url, "", 0, 0, TEXT_MAX,
	    "what Link headers begin with; none: the request's host"),
	OPT("QUEUE_MAX", INT, queue_max, "128", 0, 1, COUNT_MAX,
	    "requests that may wait for a thread of a worker, however long"),
	OPT("QUEUE_TIMEOUT", DURATION, queue_ms, "25ms", 0, 0, HOUR,
	    "longest wait while more than QUEUE_MAX requests keep coming, "
	    "0: any"),
	OPT("RATE_LIMIT_MAX_REQUESTS", INT, rate_max, "50", 0, 1, REQUESTS_MAX,
	    "playground calls of a user in RATE_LIMIT_WINDOW"),
	OPT("RATE_LIMIT_WINDOW", DURATION, rate_window_ms, "1h", 0, SECOND,
	    31 * DAY, "what RATE_LIMIT_MAX_REQUESTS counts in"),
	OPT("REFRESH_EXPIRES_IN", DURATION, refresh_expires_ms, "30d", 0,
	    SECOND, 3650 * DAY, "life of a refresh token"),
	OPT("REGISTRATIONS_MAX", INT, registrations_max, "50", 0, 1, COUNT_MAX,
	    "accounts made from an address in LOGIN_WINDOW"),
	OPT("RETENTION_DAYS", INT, retention_days, "0", 0, 0, 36500,
	    "days that calls and events are kept, 0: for ever"),
	OPT("SOCKET", STRING, socket, "./var/minuted.sock", 0, 1, SOCKET_MAX,
	    "path of the FastCGI socket"),
	OPT("SOCKET_GROUP", STRING, socket_group, "", 0, 0, 32,
	    "group of the socket: nginx's; none: as created"),
	OPT("SPOOL_DIR", STRING, spool_dir, "./var/spool", 0, 1, TEXT_MAX,
	    "where records wait while PostgreSQL is away"),
	OPT("SPOOL_MAX", BYTES, spool_max, "1g", 0, MIB, 1024 * TIB,
	    "bytes of records there; ends of running calls (STREAMS_MAX), and "
	    "room taken ahead, 8m a worker, come on top"),
	OPT("STATEMENT_TIMEOUT", DURATION, statement_ms, "5s", 0, 1, HOUR,
	    "longest run of a statement in PostgreSQL"),
	OPT("STREAMS_MAX", INT, streams_max, "10000", 0, 1, COUNT_MAX,
	    "model calls at once, a worker"),
	OPT("THREADS", INT, threads, "8", 0, 1, 256,
	    "request threads, a worker"),
	OPT("WORKERS", INT, workers, "0", 0, 0, 256,
	    "worker processes, 0: one a core"),
};
const size_t config_options_len =
    sizeof(config_options) / sizeof(config_options[0]);

struct load {
	struct config *config; /* filled */
	struct config_file file;
	struct buf *problems;
};

static const char *
from_environment(const char *name)
{
	const char *value = getenv(name);

	return value == NULL ? "" : value;
}

static enum err
load_option(struct load *load, size_t index)
{
	const struct config_option *option = &config_options[index];
	const char *text = from_environment(option->name);
	enum config_source source = CONFIG_ENVIRONMENT;

	if (*text == '\0') {
		text = config_file_get(&load->file, option->name);
		source = CONFIG_FILE;
	}
	if (*text == '\0') {
		text = option->fallback;
		source = CONFIG_DEFAULT;
	}
	load->config->store->sources[index] = source;
	if (*text == '\0' && (option->flags & CONFIG_REQUIRED) != 0) {
		buf_addf(load->problems, "%s: is not set, expected %s\n",
		    option->name, option->help);
		return OK;
	}
	if (strcmp(text, SAMPLE_SECRET) == 0) {
		buf_addf(load->problems,
		    "%s: is the value of the example, expected your own\n",
		    option->name);
		return OK;
	}
	return config_value_set(option, text, load->config, load->problems);
}

static enum err
load_options(struct load *load)
{
	enum err err;

	for (size_t i = 0; i < config_options_len; i++) {
		err = load_option(load, i);
		if (err != OK && err != ERR_INPUT)
			return err;
	}
	return OK;
}

static const struct config_option *
find_option(const char *name)
{
	for (size_t i = 0; i < config_options_len; i++) {
		if (strcmp(config_options[i].name, name) == 0)
			return &config_options[i];
	}
	return NULL;
}

static const struct config_key *
find_key(const struct config_store *store, const char *name)
{
	for (size_t i = 0; i < store->keys_len; i++) {
		if (strcmp(store->keys[i].name, name) == 0)
			return &store->keys[i];
	}
	return NULL;
}

/* The value becomes a header's: the rules are those of a string. */
static enum err
check_key(const char *name, const char *value, struct buf *problems)
{
	struct config scratch = { 0 };
	const struct config_option option =
	    OPT(name, STRING, openai_api_key, "", SECRET, 0, TEXT_MAX, "");
	enum err err;

	err = config_value_set(&option, value, &scratch, problems);
	config_forget(scratch.openai_api_key);
	return err;
}

static enum err
add_key(struct load *load, const struct config_key *key)
{
	struct config_store *store = load->config->store;
	struct config_key *keys;
	struct config_key copy = { .source = key->source };
	enum err err;

	if (key->value[0] == '\0' || find_key(store, key->name) != NULL)
		return OK;
	/* Those of the table were checked with it. */
	if (find_option(key->name) == NULL) {
		err = check_key(key->name, key->value, load->problems);
		if (err != OK)
			return err == ERR_INPUT ? OK : err;
	}
	keys = reallocarray(store->keys, store->keys_len + 1, sizeof(*keys));
	if (keys == NULL)
		return ERR_MEMORY;
	store->keys = keys;
	copy.name = config_copy(key->name, strlen(key->name));
	copy.value = config_copy(key->value, strlen(key->value));
	keys[store->keys_len++] = copy;
	return copy.name != NULL && copy.value != NULL ? OK : ERR_MEMORY;
}

/* One "NAME=value" of the environment; anything but a provider's key is
 * passed over. */
static enum err
add_key_of(struct load *load, const char *variable)
{
	const char *equals = strchr(variable, '=');
	struct config_key key = { .source = CONFIG_ENVIRONMENT };
	enum err err = OK;

	if (equals == NULL)
		return OK;
	key.name = config_copy(variable, (size_t)(equals - variable));
	key.value = config_copy(equals + 1, strlen(equals + 1));
	if (key.name == NULL || key.value == NULL)
		err = ERR_MEMORY;
	else if (config_is_key(key.name))
		err = add_key(load, &key);
	config_forget(key.value);
	free(key.name);
	return err;
}

static enum err
load_keys(struct load *load)
{
	enum err err;

	for (char **variable = environ; variable != NULL && *variable != NULL;
	     variable++) {
		err = add_key_of(load, *variable);
		if (err != OK)
			return err;
	}
	for (size_t i = 0; i < load->file.len; i++) {
		const struct config_entry *entry = &load->file.entries[i];
		const struct config_key key = { .name = entry->name,
			.value = entry->value,
			.source = CONFIG_FILE };

		if (!config_is_key(entry->name))
			continue;
		err = add_key(load, &key);
		if (err != OK)
			return err;
	}
	return OK;
}

/* Names that nobody reads, and secrets that everybody reads. */
static void
check_file(struct load *load, const char *path)
{
	const struct config_option *option;
	bool secrets = false;

	for (size_t i = 0; i < load->file.len; i++) {
		const struct config_entry *entry = &load->file.entries[i];

		option = find_option(entry->name);
		if (option == NULL && !config_is_key(entry->name))
			buf_addf(load->problems,
			    "%.100s: is no setting (%s, line %d), expected one "
			    "of `minuted check` or a name that ends in "
			    "_API_KEY\n",
			    entry->name, path, entry->line);
		else if (option == NULL || (option->flags & CONFIG_SECRET) != 0)
			secrets = secrets || entry->value[0] != '\0';
	}
	/* Its group may read it; nobody else, and only the owner may write. */
	if (secrets && (load->file.mode & 0037) != 0)
		buf_addf(load->problems,
		    "%s: holds secrets and has mode %04o, expected 0600, 0640, "
		    "0400 or 0440\n",
		    path, (unsigned int)load->file.mode);
}

static struct config *
config_new(const char *path)
{
	struct config *config = calloc(1, sizeof(*config));

	if (config == NULL)
		return NULL;
	config->store = calloc(1, sizeof(*config->store));
	if (config->store == NULL)
		goto fail;
	config->store->sources =
	    calloc(config_options_len, sizeof(*config->store->sources));
	if (config->store->sources == NULL)
		goto fail;
	if (path == NULL)
		return config;
	config->path = config_copy(path, strlen(path));
	if (config->path != NULL)
		return config;
fail:
	config_free(config);
	return NULL;
}

static enum err
load_all(struct load *load, const char *path)
{
	enum err err;

	if (path != NULL) {
		err = config_file_read(path, load->problems, &load->file);
		if (err != OK)
			return err;
		check_file(load, path);
	}
	err = load_options(load);
	if (err != OK)
		return err;
	return load_keys(load);
}

enum err
config_load(const char *file, struct buf *problems, struct config **out)
{
	struct load load = { .problems = problems };
	size_t before = problems->len;
	enum err err;

	*out = NULL;
	load.config = config_new(file);
	if (load.config == NULL)
		return ERR_MEMORY;
	err = load_all(&load, file);
	if (err == OK && (problems->len != before || !buf_ok(problems)))
		err = ERR_INPUT;
	config_file_fini(&load.file);
	if (err != OK) {
		config_free(load.config);
		return err;
	}
	*out = load.config;
	return OK;
}

static void
store_free(struct config_store *store)
{
	if (store == NULL)
		return;
	for (size_t i = 0; i < store->keys_len; i++) {
		free(store->keys[i].name);
		config_forget(store->keys[i].value);
	}
	free(store->keys);
	free(store->sources);
	free(store);
}

void
config_free(struct config *config)
{
	char **field;

	if (config == NULL)
		return;
	for (size_t i = 0; i < config_options_len; i++) {
		if (!config_kind_is_text(config_options[i].kind))
			continue;
		field = (char **)((char *)config + config_options[i].offset);
		config_forget(*field);
	}
	store_free(config->store);
	free(config->path);
	free(config);
}

const char *
config_secret(const struct config *config, const char *name)
{
	const struct config_key *key;

	if (name == NULL || !config_is_key(name))
		return NULL;
	key = find_key(config->store, name);
	return key == NULL ? NULL : key->value;
}
