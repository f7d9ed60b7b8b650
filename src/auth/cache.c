/*
 * cache.c - users and API keys of a worker.
 *
 * A fact read from PostgreSQL is only kept as confirmed when nothing was said
 * about its name while it was read: the shard's epoch moves with each
 * notification, the cache's generation with each connection of the listener.
 * Locks: a shard's mutex, then the mutex of the keys used; nothing waits for
 * PostgreSQL under either.
 */
#include "auth/cache.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "auth/secret.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fnv.h"
#include "base/log.h"

#define SHARDS    16
#define SETS      256 /* a shard; a name has its place in one of WAYS entries */
#define WAYS      4 /* so: at most 16,384 users and keys, 2.5 MB if all are used */
#define NAME_SIZE SECRET_HASH_SIZE
#define USED_MAX  128 /* keys used since the thread last looked */

#define SECOND_US     1000000
#define AGE_US        (60 * (int64_t)SECOND_US) /* then asked again all the same */
#define USED_EVERY_US (60 * (int64_t)SECOND_US)
#define TICK_MS       1000 /* between two proofs that the connection works */
#define RETRY_MS      100  /* db.h paces the attempts themselves */
#define ANSWER_MS     1000 /* a listener that is slower is as good as lost */

union fact { /* which one: by the length of its name */
	struct auth_user user;
	struct auth_key key;
};

struct entry {
	char name[NAME_SIZE]; /* user id, or SHA-256 of key; "": free */
	union fact fact;
	uint64_t generation;
	int64_t confirmed_us;
	int64_t used_us; /* of a key: last_used_at was moved */
};

struct shard {
	pthread_mutex_t mutex;
	uint64_t epoch; /* moves when a name of it is forgotten */
	struct entry entries[SETS][WAYS];
};

struct auth_cache {
	struct db_options options;
	int64_t stale_us;
	void (*on_notify)(void *arg, struct db *db, const char *channel,
	    const char *payload);
	void *arg;

	pthread_t thread;
	bool thread_runs;
	int wake_fd;
	atomic_bool stopping;
	struct db *db;          /* of the thread */
	uint64_t db_generation; /* the connection that listens */
	bool has_told;          /* on_notify, of channels; not yet of the end */

	atomic_bool open; /* that connection works */
	atomic_ullong generation;
	atomic_llong alive_us; /* when it was last seen to */

	pthread_mutex_t used_mutex; /* guards what follows */
	struct auth_key used[USED_MAX];
	size_t used_count;

	struct shard shards[SHARDS];
};

/* What is asked: a name, and how its fact is read. */
struct question {
	const char *name;
	enum db_stmt stmt;
	enum err (*read)(const struct db_rows *rows, union fact *out);
};

/* The state of the cache when a fact is asked for. */
struct ticket {
	uint64_t generation;
	uint64_t epoch;
};

static const char *const channels[] = { "minuted_user", "minuted_key",
	"minuted_catalog", "minuted_limit" };
#define OWN_CHANNELS 2 /* the first ones are for the cache itself */
#define CHANNELS     (sizeof(channels) / sizeof(channels[0]))

/* --- entries ---------------------------------------------------------- */

static struct shard *
shard_of(struct auth_cache *cache, const char *name)
{
	return &cache->shards[fnv_add(FNV_BASIS, name) % SHARDS];
}

static struct entry *
set_of(struct shard *shard, const char *name)
{
	return shard->entries[fnv_add(FNV_BASIS, name) / SHARDS % SETS];
}

/* With the shard locked; NULL when it is not there. */
static struct entry *
find(struct shard *shard, const char *name)
{
	struct entry *set = set_of(shard, name);

	for (size_t i = 0; i < WAYS; i++) {
		if (secret_equal(set[i].name, name))
			return &set[i];
	}
	return NULL;
}

/* The entry of name, or the one that makes room for it. */
static struct entry *
find_place(struct shard *shard, const char *name)
{
	struct entry *set = set_of(shard, name);
	struct entry *place = find(shard, name);

	if (place != NULL)
		return place;
	place = &set[0];
	for (size_t i = 1; i < WAYS; i++) {
		if (set[i].confirmed_us < place->confirmed_us)
			place = &set[i];
	}
	memset(place, 0, sizeof(*place));
	return place;
}

/* Whether entry may be used while the listener is connected. */
static bool
is_fresh(const struct auth_cache *cache, const struct entry *entry)
{
	return entry->generation == atomic_load(&cache->generation) &&
	       clock_mono_us() - entry->confirmed_us <= AGE_US;
}

/* Whether entry may be used when PostgreSQL cannot be asked: what the listener
 * would have been told about was true until it was last seen to work. */
static bool
is_tolerable(const struct auth_cache *cache, const struct entry *entry)
{
	int64_t confirmed_us = entry->confirmed_us;
	int64_t alive_us = atomic_load(&cache->alive_us);

	if (entry->generation == atomic_load(&cache->generation) &&
	    alive_us > confirmed_us)
		confirmed_us = alive_us;
	return clock_mono_us() - confirmed_us <= cache->stale_us;
}

static bool
recall(struct auth_cache *cache, const char *name,
    bool (*good)(const struct auth_cache *, const struct entry *),
    union fact *out)
{
	struct shard *shard = shard_of(cache, name);
	struct entry *entry;
	bool found = false;

	pthread_mutex_lock(&shard->mutex);
	entry = find(shard, name);
	if (entry != NULL && good(cache, entry)) {
		*out = entry->fact;
		found = true;
	}
	pthread_mutex_unlock(&shard->mutex);
	return found;
}

static struct ticket
draw_ticket(struct auth_cache *cache, const char *name)
{
	struct shard *shard = shard_of(cache, name);
	struct ticket ticket = { .generation =
				     atomic_load(&cache->generation) };

	pthread_mutex_lock(&shard->mutex);
	ticket.epoch = shard->epoch;
	pthread_mutex_unlock(&shard->mutex);
	return ticket;
}

static void
keep(struct auth_cache *cache, const char *name, const struct ticket *ticket,
    const union fact *fact)
{
	struct shard *shard = shard_of(cache, name);
	struct entry *entry;

	pthread_mutex_lock(&shard->mutex);
	if (shard->epoch == ticket->epoch) {
		entry = find_place(shard, name);
		memcpy(entry->name, name, strlen(name) + 1);
		entry->fact = *fact;
		entry->generation = ticket->generation;
		entry->confirmed_us = clock_mono_us();
	}
	pthread_mutex_unlock(&shard->mutex);
}

static void
forget(struct auth_cache *cache, const char *name)
{
	struct shard *shard = shard_of(cache, name);
	struct entry *entry;

	if (*name == '\0')
		return;
	pthread_mutex_lock(&shard->mutex);
	shard->epoch++;
	entry = find(shard, name);
	if (entry != NULL)
		memset(entry, 0, sizeof(*entry));
	pthread_mutex_unlock(&shard->mutex);
}

/* --- questions -------------------------------------------------------- */

static enum err
load(struct db *db, const struct question *question, union fact *out)
{
	const char *args[] = { question->name };
	struct db_rows *rows = NULL;
	enum err err;

	if (db == NULL)
		return ERR_BUSY;
	err = db_query(db, question->stmt, args, &rows);
	if (err == OK)
		err = rows_count(rows) == 0 ? ERR_MISSING
					    : question->read(rows, out);
	rows_free(rows);
	return err;
}

static enum err
ask(struct auth_cache *cache, struct db *db, const struct question *question,
    union fact *out)
{
	struct ticket ticket;
	enum err err;

	if (atomic_load(&cache->open) &&
	    recall(cache, question->name, is_fresh, out))
		return OK;
	ticket = draw_ticket(cache, question->name);
	err = load(db, question, out);
	if (err == OK) {
		keep(cache, question->name, &ticket, out);
		return OK;
	}
	if (err == ERR_MISSING) {
		forget(cache, question->name);
		return err;
	}
	if ((err == ERR_BUSY || err == ERR_TIMEOUT) &&
	    recall(cache, question->name, is_tolerable, out))
		return OK;
	return ERR_BUSY;
}

static enum err
read_user(const struct db_rows *rows, union fact *out)
{
	struct auth_user *user = &out->user;

	user->token_version = rows_int64(rows, 0, 0);
	user->disabled = rows_bool(rows, 0, 1);
	user->admin = rows_bool(rows, 0, 2);
	return OK;
}

enum err
auth_cache_user(struct auth_cache *cache, struct db *db, const struct uuid *id,
    struct auth_user *out)
{
	char name[UUID_TEXT_SIZE];
	struct question question = { name, DB_AUTH_USER, read_user };
	union fact fact = { 0 };
	enum err err;

	uuid_text(id, name);
	err = ask(cache, db, &question, &fact);
	if (err != OK)
		return err;
	*out = fact.user;
	out->id = *id;
	return OK;
}

enum scope
scope_of_word(const char *word)
{
	if (strcmp(word, "ingest") == 0)
		return SCOPE_INGEST;
	if (strcmp(word, "calls") == 0)
		return SCOPE_CALLS;
	if (strcmp(word, "data") == 0)
		return SCOPE_DATA;
	return SCOPE_OTHER;
}

static unsigned
read_scopes(const char *text)
{
	unsigned scopes = 0;
	char word[32];

	while (text != NULL && *text != '\0') {
		size_t len = strcspn(text, " ");

		if (len > 0 && len < sizeof(word)) {
			memcpy(word, text, len);
			word[len] = '\0';
			scopes |= scope_of_word(word);
		} else {
			scopes |= SCOPE_OTHER;
		}
		text += len + (text[len] == ' ');
	}
	return scopes;
}

static enum err
read_key(const struct db_rows *rows, union fact *out)
{
	struct auth_key *key = &out->key;

	if (uuid_parse(rows_text(rows, 0, 0), &key->id) != OK ||
	    uuid_parse(rows_text(rows, 0, 1), &key->user_id) != OK)
		return ERR_BUG;
	key->active = rows_bool(rows, 0, 2);
	key->expires_us = rows_int64(rows, 0, 3);
	key->scopes = read_scopes(rows_text(rows, 0, 4));
	return OK;
}

/* Hands the key to the thread; false when there is no room now. */
static bool
note_used(struct auth_cache *cache, const struct auth_key *key)
{
	bool noted = false;

	pthread_mutex_lock(&cache->used_mutex);
	if (cache->used_count < USED_MAX) {
		cache->used[cache->used_count++] = *key;
		noted = true;
	}
	pthread_mutex_unlock(&cache->used_mutex);
	return noted;
}

static void
use_key(struct auth_cache *cache, const char *name)
{
	struct shard *shard = shard_of(cache, name);
	int64_t now_us = clock_mono_us();
	struct entry *entry;

	pthread_mutex_lock(&shard->mutex);
	entry = find(shard, name);
	if (entry != NULL && entry->fact.key.active &&
	    (entry->used_us == 0 || now_us - entry->used_us > USED_EVERY_US) &&
	    note_used(cache, &entry->fact.key))
		entry->used_us = now_us;
	pthread_mutex_unlock(&shard->mutex);
}

enum err
auth_cache_key(struct auth_cache *cache, struct db *db, const char *key_hash,
    struct auth_key *out)
{
	struct question question = { key_hash, DB_AUTH_KEY, read_key };
	union fact fact = { 0 };
	enum err err;

	if (strlen(key_hash) != NAME_SIZE - 1)
		return ERR_MISSING;
	err = ask(cache, db, &question, &fact);
	if (err != OK)
		return err;
	use_key(cache, key_hash);
	*out = fact.key;
	return OK;
}

bool
auth_cache_is_open(const struct auth_cache *cache)
{
	return atomic_load(&cache->open);
}

/* --- the listening thread --------------------------------------------- */

static void
close_cache(struct auth_cache *cache)
{
	if (atomic_exchange(&cache->open, false) &&
	    !atomic_load(&cache->stopping))
		log_warn("identities are asked of PostgreSQL each time: "
			 "the listening connection is lost");
}

static bool
is_own(const char *channel)
{
	for (size_t i = 0; i < OWN_CHANNELS; i++) {
		if (strcmp(channels[i], channel) == 0)
			return true;
	}
	return false;
}

static void
tell(struct auth_cache *cache, const char *channel, const char *payload)
{
	if (cache->on_notify != NULL)
		cache->on_notify(cache->arg, cache->db, channel, payload);
	cache->has_told = channel != NULL;
}

static void
notice(struct auth_cache *cache, const char *channel, const char *payload)
{
	if (is_own(channel))
		forget(cache, payload);
	else
		tell(cache, channel, payload);
}

static enum err
listen_now(struct auth_cache *cache)
{
	struct buf sql;
	enum err err;

	buf_init(&sql, 1024);
	for (size_t i = 0; i < CHANNELS; i++)
		buf_addf(&sql, "listen %s;", channels[i]);
	err = buf_ok(&sql) ? db_connect(cache->db) : ERR_MEMORY;
	if (err == OK) {
		cache->db_generation = db_generation(cache->db);
		err = db_script(cache->db, buf_str(&sql));
	}
	buf_fini(&sql);
	if (err == OK && db_generation(cache->db) != cache->db_generation)
		err = ERR_BUSY; /* part of it went to an older connection */
	return err;
}

/* Takes what is waiting; not OK when the connection is not the one that
 * listens any more. */
static enum err
take_notifications(struct auth_cache *cache)
{
	char channel[64], payload[256];
	enum err err;

	for (;;) {
		err = db_notification(cache->db, channel, sizeof(channel),
		    payload, sizeof(payload));
		if (err == OK)
			notice(cache, channel, payload);
		else if (err == ERR_MISSING && cache->has_told)
			tell(cache, NULL, NULL); /* more may come meanwhile */
		else
			break;
	}
	if (err != ERR_MISSING)
		return err;
	return db_generation(cache->db) == cache->db_generation ? OK : ERR_BUSY;
}

static void
open_cache(struct auth_cache *cache)
{
	if (listen_now(cache) != OK)
		return;
	atomic_fetch_add(&cache->generation, 1);
	atomic_store(&cache->alive_us, clock_mono_us());
	atomic_store(&cache->open, true);
	log_debug("identities are cached: PostgreSQL tells of changes");
	for (size_t i = OWN_CHANNELS; i < CHANNELS; i++)
		tell(cache, channels[i], NULL);
	if (take_notifications(cache) != OK)
		close_cache(cache);
}

static void
add_id(struct buf *array, const struct uuid *id)
{
	char text[UUID_TEXT_SIZE];

	uuid_text(id, text);
	buf_addf(array, "%c%s", array->len == 0 ? '{' : ',', text);
}

/* Moves last_used_at of the keys used since the last time. */
static enum err
write_used(struct auth_cache *cache)
{
	struct buf users, ids;
	size_t count;
	enum err err = OK;

	buf_init(&users, USED_MAX * UUID_TEXT_SIZE + 2);
	buf_init(&ids, USED_MAX * UUID_TEXT_SIZE + 2);
	pthread_mutex_lock(&cache->used_mutex);
	count = cache->used_count;
	cache->used_count = 0;
	for (size_t i = 0; i < count; i++) {
		add_id(&users, &cache->used[i].user_id);
		add_id(&ids, &cache->used[i].id);
	}
	pthread_mutex_unlock(&cache->used_mutex);
	if (count > 0) {
		buf_addc(&users, '}');
		buf_addc(&ids, '}');
		const char *args[] = { buf_str(&users), buf_str(&ids) };

		if (buf_ok(&users) && buf_ok(&ids))
			err = db_query(cache->db, DB_AUTH_USED, args, NULL);
	}
	buf_fini(&users);
	buf_fini(&ids);
	return err;
}

/* Proves that the connection works; it may be gone without a sign. */
static enum err
tick(struct auth_cache *cache)
{
	enum err err;

	(void)write_used(cache); /* only a figure; what fails shows below */
	err = db_query(cache->db, DB_AUTH_ALIVE, NULL, NULL);
	if (err == OK)
		err = take_notifications(cache);
	if (err == OK)
		atomic_store(&cache->alive_us, clock_mono_us());
	return err;
}

static void
wait_for_news(struct auth_cache *cache, int timeout_ms)
{
	struct pollfd fds[2] = {
		{ .fd = cache->wake_fd, .events = POLLIN },
		{ .fd = db_fd(cache->db), .events = POLLIN },
	};

	/* whatever it says, both are looked at next */
	(void)poll(fds, 2, timeout_ms);
}

static void
serve(struct auth_cache *cache)
{
	int64_t left_us = atomic_load(&cache->alive_us) +
			  (int64_t)TICK_MS * 1000 - clock_mono_us();
	enum err err;

	if (left_us > 0)
		wait_for_news(cache, (int)(left_us / 1000) + 1);
	if (atomic_load(&cache->stopping))
		return;
	err = left_us > 0 ? take_notifications(cache) : tick(cache);
	if (err != OK)
		close_cache(cache);
}

static void *
run(void *arg)
{
	struct auth_cache *cache = arg;

	while (!atomic_load(&cache->stopping)) {
		if (atomic_load(&cache->open)) {
			serve(cache);
			continue;
		}
		open_cache(cache);
		if (!atomic_load(&cache->open))
			wait_for_news(cache, RETRY_MS);
	}
	close_cache(cache);
	return NULL;
}

/* Signals are for the worker's main thread. */
static enum err
start_thread(struct auth_cache *cache)
{
	sigset_t all, before;
	int failed;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(&cache->thread, NULL, run, cache);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	cache->thread_runs = failed == 0;
	return failed == 0 ? OK : ERR_SYSTEM;
}

enum err
auth_cache_start(const struct config *config,
    void (*on_notify)(void *arg, struct db *db, const char *channel,
	const char *payload),
    void *arg, struct auth_cache **out)
{
	struct auth_cache *cache = calloc(1, sizeof(*cache));
	enum err err = ERR_MEMORY;

	*out = NULL;
	if (cache == NULL)
		return ERR_MEMORY;
	cache->on_notify = on_notify;
	cache->arg = arg;
	cache->stale_us = config->auth_stale_ms * 1000;
	cache->options = (struct db_options){ .url = config->database_url,
		.application = "minuted listener",
		.statement_ms = ANSWER_MS,
		.lock_ms = ANSWER_MS };
	pthread_mutex_init(&cache->used_mutex, NULL);
	for (size_t i = 0; i < SHARDS; i++)
		pthread_mutex_init(&cache->shards[i].mutex, NULL);
	cache->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	cache->db = db_new(&cache->options);
	if (cache->wake_fd >= 0 && cache->db != NULL)
		err = start_thread(cache);
	if (err != OK) {
		auth_cache_stop(cache);
		return err;
	}
	*out = cache;
	return OK;
}

void
auth_cache_stop(struct auth_cache *cache)
{
	uint64_t one = 1;

	if (cache == NULL)
		return;
	atomic_store(&cache->stopping, true);
	if (cache->thread_runs) {
		if (write(cache->wake_fd, &one, sizeof(one)) < 0)
			log_warn_errno("cannot wake the listener");
		pthread_join(cache->thread, NULL);
	}
	db_free(cache->db);
	if (cache->wake_fd >= 0)
		close(cache->wake_fd);
	for (size_t i = 0; i < SHARDS; i++)
		pthread_mutex_destroy(&cache->shards[i].mutex);
	pthread_mutex_destroy(&cache->used_mutex);
	free(cache);
}
