/*
 * clock.h - the time, and how it is written.
 *
 * Deadlines and durations use the monotonic clock, records the wall clock.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/err.h"

#define CLOCK_TEXT_SIZE 32 /* "2026-01-31T23:59:59.123456Z" and its NUL */

int64_t clock_mono_us(void); /* CLOCK_MONOTONIC, microseconds */
int64_t clock_wall_us(void); /* microseconds since 1970, UTC */

/* CLOCK_MONOTONIC in so many ms: until when to wait. */
void clock_in(int64_t ms, struct timespec *out);

/* ISO 8601 UTC with 6 digits of fraction and Z into out. */
void clock_text(int64_t wall_us, char out[CLOCK_TEXT_SIZE]);

/* The same with 3 digits, the rest cut off: as clients get it. */
void clock_text_ms(int64_t wall_us, char out[CLOCK_TEXT_SIZE]);

/*
 * Reads RFC 3339 ("2026-01-31T23:59:59[.fraction](Z|+hh:mm)"), or a date alone
 * (midnight UTC).  ERR_INPUT otherwise.
 */
enum err clock_parse(const char *text, int64_t *wall_us) MUST_CHECK;

/*
 * "15m", "7d", "90s", "12h", "250ms" or a bare number (seconds) in
 * milliseconds.  ERR_INPUT on anything else, on overflow and on negatives.
 */
enum err clock_parse_duration(const char *text, int64_t *ms) MUST_CHECK;

#endif /* BASE_CLOCK_H */
