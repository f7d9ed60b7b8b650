/*
 * catalog.h - providers, models and prices: where a model name goes and what it
 * costs.  An immutable snapshot of the tables, read again when they change
 * (NOTIFY minuted_catalog) and at least every 30 s.
 */
#ifndef LLM_CATALOG_H
#define LLM_CATALOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "config/config.h"
#include "db/db.h"

struct llm_provider; /* provider.h: the functions of a kind of provider */

struct catalog_provider {
	char *name; /* "openai" */
	const struct llm_provider *kind;
	char *base_url;   /* without trailing slash; NULL for echo */
	char *key;        /* secret; NULL when it needs none */
	bool any_model;   /* takes names that are not listed */
	bool allow_local; /* http and private addresses are allowed */
};

struct catalog_price { /* pico-dollars a token; -1 unknown */
	int64_t input, output, cache_read, cache_write;
};

struct catalog_target {
	const struct catalog_provider *provider;
	char *model;          /* the name that clients use */
	char *upstream_model; /* the name that the provider uses */
	int64_t context;      /* tokens; 0 unknown */
	int64_t created_s;
	struct catalog_price price;
	size_t rank; /* place in the list of the snapshot */
};

struct catalog;  /* keeps the current snapshot; one a worker */
struct snapshot; /* one state of it, reference-counted */

enum err catalog_start(const struct config *config,
    struct catalog **out) MUST_CHECK;
void catalog_stop(struct catalog *catalog);
void catalog_changed(struct catalog *catalog); /* reload at next use */

/* The current snapshot (reloaded when due, by db).  ERR_BUSY when there never
 * was one and PostgreSQL is away.  Give back with snapshot_release(). */
enum err catalog_snapshot(struct catalog *catalog, struct db *db,
    struct snapshot **out) MUST_CHECK;
void snapshot_release(struct snapshot *snapshot); /* accepts NULL */

/*
 * Where model goes: the first active provider by preference; "provider/model"
 * names the provider.  NULL when nobody has it.  Valid while the snapshot is
 * held; a target for an unlisted model of an any_model provider is made in
 * the arena.
 */
const struct catalog_target *snapshot_find(const struct snapshot *snapshot,
    struct arena *arena, const char *model);
size_t snapshot_count(const struct snapshot *snapshot);
const struct catalog_target *snapshot_at(const struct snapshot *snapshot,
    size_t index);
/* The model that is used when a family's client names none: DEFAULT_MODEL if
 * it exists, else the first listed, "echo" on a fresh install; NULL when no
 * model is listed at all. */
const struct catalog_target *snapshot_default(const struct snapshot *snapshot);

#endif /* LLM_CATALOG_H */
