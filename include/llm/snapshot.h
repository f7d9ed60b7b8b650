/*
 * snapshot.h - one state of the catalogue while it is made; for catalog.c and
 * tests.  Readers use catalog.h.
 */
#ifndef LLM_SNAPSHOT_H
#define LLM_SNAPSHOT_H

#include "base/buf.h"
#include "config/config.h"
#include "llm/catalog.h"

/* Rows as PostgreSQL gives them; text is borrowed, NULL is null. */
struct provider_row {
	const char *name, *kind, *base_url, *key_env;
	bool any_model, allow_local;
};
struct model_row {
	const char *provider, *name, *upstream_name;
	int64_t context, created_s;
};
struct price_row {
	const char *provider, *model;
	struct catalog_price price;
};

/*
 * A new snapshot with one reference; fill it in this order: providers, models
 * and prices, each in the order of its query, then snapshot_close().  What is
 * wrong with a provider is a line in problems, and it is left out.
 */
struct snapshot *snapshot_new(const struct config *config,
    struct buf *problems);
enum err snapshot_add_provider(struct snapshot *snapshot,
    const struct provider_row *row) MUST_CHECK;
enum err snapshot_add_model(struct snapshot *snapshot,
    const struct model_row *row) MUST_CHECK;
enum err snapshot_add_price(struct snapshot *snapshot,
    const struct price_row *row) MUST_CHECK;
/* Sorts, finds prices and the default: from here on it is constant. */
enum err snapshot_close(struct snapshot *snapshot) MUST_CHECK;

void snapshot_hold(struct snapshot *snapshot); /* one more reference */

#endif /* LLM_SNAPSHOT_H */
