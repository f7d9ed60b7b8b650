/*
 * prices.h - price lists: {"prices":[{provider, model, input, output,
 * cache_read, cache_write}]} in USD per million tokens.
 */
#ifndef DB_PRICES_H
#define DB_PRICES_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "db/db.h"

struct prices_count {
	int64_t added, changed, unchanged;
};

/*
 * Imports all of json or nothing.  A changed price ends now and a new one
 * begins.  origin is "import" or "builtin"; the built-in list leaves alone what
 * others set.  ERR_INPUT with a line in problem that names entry and field.
 */
enum err prices_import(struct db *db, const char *json, const char *origin,
    struct prices_count *out, struct buf *problem) MUST_CHECK;

#endif /* DB_PRICES_H */
