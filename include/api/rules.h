/*
 * rules.h - minuted.limits in memory: what users and keys may use.
 *
 * Read again when NOTIFY minuted_limit says so, and at least every 30 s; while
 * PostgreSQL is away the last ones stay, unless a change of them was heard of.
 * Thread-safe.
 */
#ifndef API_RULES_H
#define API_RULES_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/uuid.h"
#include "db/db.h"
#include "http/request.h"

struct rules; /* one a worker */

/* -1: no limit. */
struct rule {
	struct uuid user_id;
	struct uuid key_id; /* zero: the user as a whole */
	int64_t requests, window_ms;
	int64_t calls;
	int64_t tokens_per_minute;
	int64_t budget_pico;
};

#define RULES_APPLY 2 /* that of the user, that of the key */

struct rules *rules_new(void); /* NULL: no memory */
void rules_free(struct rules *rules);
void rules_changed(struct rules *rules); /* read again at next use */
/* Nobody listened for a while: read again, but until then they hold. */
void rules_missed(struct rules *rules);
/* Reads what may have changed, so that it is there when PostgreSQL goes away; not
 * when another thread reads, or it fails. */
void rules_catch_up(struct rules *rules, struct db *db);

/*
 * The rules that apply to who: *count of out.  ERR_BUSY when they never could
 * be read, or not since a change: then nobody knows what is allowed.
 */
enum err rules_find(struct rules *rules, struct db *db,
    const struct identity *who, struct rule out[RULES_APPLY],
    size_t *count) MUST_CHECK;

#endif /* API_RULES_H */
