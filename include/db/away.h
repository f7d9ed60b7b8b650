/*
 * away.h - what this process believes about PostgreSQL: there, or away.
 *
 * All connections share the verdict.  While it is away one thread at a time
 * tries, after 100 ms, then ever later up to 800; the others are told at once.
 */
#ifndef DB_AWAY_H
#define DB_AWAY_H

#include <stdbool.h>
#include <stdint.h>

/* Whether the caller may connect now; then it reports how that went. */
bool away_may_try(int64_t now_us);

/* The try that began at asked_us failed.  True when that is news. */
bool away_failed(int64_t asked_us, int64_t now_us);

/* The try succeeded.  True when PostgreSQL was away before. */
bool away_ended(void);

#endif /* DB_AWAY_H */
