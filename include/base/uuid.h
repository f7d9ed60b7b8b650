/*
 * uuid.h - UUIDs (RFC 9562): version 7 made here, any version read.
 */
#ifndef BASE_UUID_H
#define BASE_UUID_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define UUID_TEXT_SIZE 37

struct uuid {
	uint8_t bytes[16];
};

/*
 * A new version 7 id.  Ids of one thread are strictly increasing, also when
 * the clock steps back (RFC 9562 section 6.2, method 3: sub-millisecond
 * fraction in rand_a, then a counter).  ERR_SYSTEM without randomness.
 */
enum err uuid_make(struct uuid *out) MUST_CHECK;

/* Lower-case 8-4-4-4-12. */
void uuid_text(const struct uuid *id, char out[UUID_TEXT_SIZE]);

/* ERR_INPUT on anything but 36 characters 8-4-4-4-12, either case. */
enum err uuid_parse(const char *text, struct uuid *out) MUST_CHECK;

bool uuid_equal(const struct uuid *a, const struct uuid *b);
bool uuid_is_zero(const struct uuid *id);
int64_t uuid_time_ms(const struct uuid *id); /* of a version 7 id, since 1970 */

#endif /* BASE_UUID_H */
