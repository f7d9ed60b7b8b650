/*
 * app.h - what a worker has, as handlers see it.  Made once by
 * process/worker.c before the first request, constant after; each member is
 * safe to use from any thread.
 */
#ifndef API_APP_H
#define API_APP_H

#include <stdint.h>

#include "auth/identify.h"
#include "base/uuid.h"
#include "config/config.h"
#include "journal/journal.h"
#include "limit/limit.h"
#include "llm/catalog.h"
#include "llm/relay.h"

struct scoreboard; /* scoreboard.h */
struct pool;       /* api/pool.h */
struct later;      /* api/later.h */
struct after;      /* api/after.h */
struct rules;      /* api/rules.h */

struct app {
	const struct config *config;
	struct auth auth;
	struct catalog *catalog;
	struct relay *relay;
	struct journal *journal;
	struct limits *limits;    /* of users and keys */
	struct limits *logins;    /* of strangers, see throttle.h */
	struct rules *rules;      /* which limits are set, see rules.h */
	int slot;                 /* of this worker in the scoreboard */
	struct uuid life;         /* of this worker: no other has had it */
	struct pool *hash_pool;   /* runs ROUTE_HASHES */
	struct pool *export_pool; /* runs ROUTE_EXPORTS */
	struct pool *idempotency; /* keeps answers, see ticket.h */
	struct later *later;      /* keeps them when PostgreSQL is back */
	struct after *after;      /* stores what model calls brought */
	const struct scoreboard *scoreboard;
	int64_t started_us; /* monotonic, of the supervisor */
};

#endif /* API_APP_H */
