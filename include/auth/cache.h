/*
 * cache.h - users and API keys of a worker, emptied by NOTIFY.
 *
 * A thread of the cache keeps a connection that LISTENs on minuted_user and
 * minuted_key (payload: the id), sent by triggers; an entry is dropped within
 * 1 s of the change.  While that connection is down the cache is closed: every
 * question goes to PostgreSQL, and only when PostgreSQL cannot be reached at
 * all is an entry used, for at most AUTH_STALE since it was last confirmed.
 * Thread-safe.
 */
#ifndef AUTH_CACHE_H
#define AUTH_CACHE_H

#include <stdbool.h>

#include "base/err.h"
#include "base/uuid.h"
#include "config/config.h"
#include "db/db.h"

struct auth_cache;

struct auth_user {
	struct uuid id;
	int64_t token_version; /* bumped by password change and disable */
	bool disabled;
	bool admin;
};

struct auth_key {
	struct uuid id;
	struct uuid user_id;
	bool active;
	int64_t expires_us; /* wall clock; 0 never */
	unsigned scopes;    /* enum scope, or-ed; 0: everything */
};

/* What a key may be used for; the words are those of api_keys.scopes. */
enum scope {
	SCOPE_INGEST = 1 << 0, /* "ingest": write event and LLM logs */
	SCOPE_CALLS = 1 << 1,  /* "calls": have models answer, /v1 */
	SCOPE_DATA = 1 << 2,   /* "data": everything else that takes a key */
	SCOPE_OTHER = 1 << 3   /* a word of a newer minuted: nothing here */
};

/* The scope that word names; SCOPE_OTHER when unknown. */
enum scope scope_of_word(const char *word);

/*
 * Starts the listening thread.  on_notify (may be NULL) is called in it for
 * channels that the cache does not know: minuted_catalog, minuted_limit; and
 * for each of these with payload NULL when the connection is made (again), since
 * what happened before was missed.  After the last that waited it is called with
 * channel NULL: then db, which listens, may be used for a short statement.
 */
enum err auth_cache_start(const struct config *config,
    void (*on_notify)(void *arg, struct db *db, const char *channel,
	const char *payload),
    void *arg, struct auth_cache **out) MUST_CHECK;
void auth_cache_stop(struct auth_cache *cache);

/*
 * ERR_MISSING when there is none; ERR_BUSY when it cannot be known.  Asking for
 * an active key counts as its use: the cache's thread moves last_used_at, at
 * most once a minute a key.
 */
enum err auth_cache_user(struct auth_cache *cache, struct db *db,
    const struct uuid *id, struct auth_user *out) MUST_CHECK;
enum err auth_cache_key(struct auth_cache *cache, struct db *db,
    const char *key_hash, struct auth_key *out) MUST_CHECK;

/* The listener is connected: entries are used without asking PostgreSQL. */
bool auth_cache_is_open(const struct auth_cache *cache);

#endif /* AUTH_CACHE_H */
