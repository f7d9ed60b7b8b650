/*
 * keys.h - the member names of open objects, so that one sent twice is seen.
 *
 * A stack: an object's names lie from the count at its opening on, above those
 * of the objects around it.
 */
#ifndef JSON_KEYS_H
#define JSON_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "json/gate.h"

/* A name as it stands between its quotes; borrowed from the text. */
struct key {
	const char *text;
	uint32_t len;
	bool escaped;    /* it has a backslash */
	uint64_t prefix; /* set by keys_add() */
};

#define KEYS_FEW 32 /* as many need no allocation */

struct keys {
	struct key *list; /* few, or on the heap */
	size_t count;
	size_t cap;
	struct key few[KEYS_FEW];
};

void keys_init(struct keys *keys);
void keys_fini(struct keys *keys);

/*
 * Adds a name to the innermost object, whose names begin at first.
 * GATE_DUPLICATE when it has the name already, unless it has many; then
 * keys_close() finds it.  GATE_MEMORY.
 */
enum gate_fault keys_add(struct keys *keys, size_t first,
    struct key *key) MUST_CHECK;

/* Forgets the names of the innermost object.  The text of one that is there
 * twice, or NULL. */
const char *keys_close(struct keys *keys, size_t first);

#endif /* JSON_KEYS_H */
