/*
 * keys.c - the member names of open objects, so that one sent twice is seen.
 *
 * Names are the same when their decoded bytes are.  The first eight of these
 * tell most names apart without a look at the text.
 */
#include "json/keys.h"

#include <stdlib.h>
#include <string.h>

#include "json/escape.h"

void
keys_init(struct keys *keys)
{
	keys->list = keys->few;
	keys->count = 0;
	keys->cap = KEYS_FEW;
}

void
keys_fini(struct keys *keys)
{
	if (keys->list != keys->few)
		free(keys->list);
	keys_init(keys);
}

static struct escape_decoder
decode_key(const struct key *key)
{
	return (struct escape_decoder){ .at = key->text,
		.end = key->text + key->len };
}

static int
compare_escaped(const struct key *a, const struct key *b)
{
	struct escape_decoder a_bytes = decode_key(a);
	struct escape_decoder b_bytes = decode_key(b);
	int a_byte;
	int b_byte;

	do {
		a_byte = escape_decode(&a_bytes);
		b_byte = escape_decode(&b_bytes);
	} while (a_byte == b_byte && a_byte >= 0);
	return a_byte - b_byte;
}

/* An order of the decoded names; 0 only for the same name. */
static int
compare_keys(const void *left, const void *right)
{
	const struct key *a = left;
	const struct key *b = right;
	int order;

	if (a->prefix != b->prefix)
		return a->prefix < b->prefix ? -1 : 1;
	if (a->escaped || b->escaped)
		return compare_escaped(a, b);
	order = memcmp(a->text, b->text, a->len < b->len ? a->len : b->len);
	if (order != 0)
		return order;
	return (a->len > b->len) - (a->len < b->len);
}

static uint64_t
key_prefix(const struct key *key)
{
	struct escape_decoder bytes = decode_key(key);
	uint64_t prefix = 0;
	size_t len = key->len < sizeof(prefix) ? key->len : sizeof(prefix);
	int byte;

	if (!key->escaped) {
		memcpy(&prefix, key->text, len);
		return prefix;
	}
	for (unsigned i = 0; i < sizeof(prefix); i++) {
		byte = escape_decode(&bytes);
		if (byte < 0)
			break;
		((uint8_t *)&prefix)[i] = (uint8_t)byte;
	}
	return prefix;
}

static bool
grow(struct keys *keys)
{
	size_t cap = keys->cap * 2;
	struct key *old = keys->list == keys->few ? NULL : keys->list;
	struct key *list = realloc(old, cap * sizeof(*list));

	if (list == NULL)
		return false;
	if (old == NULL)
		memcpy(list, keys->few, sizeof(keys->few));
	keys->list = list;
	keys->cap = cap;
	return true;
}

/* Small objects are compared as they come, large ones once, at their end, for
 * comparing each with each would let a client buy much time with few bytes. */
enum gate_fault
keys_add(struct keys *keys, size_t first, struct key *key)
{
	size_t count = keys->count - first;

	if (keys->count == keys->cap && !grow(keys))
		return GATE_MEMORY;
	key->prefix = key_prefix(key);
	for (size_t i = first; i < keys->count && count < KEYS_FEW; i++) {
		if (keys->list[i].prefix == key->prefix &&
		    compare_keys(&keys->list[i], key) == 0)
			return GATE_DUPLICATE;
	}
	keys->list[keys->count++] = *key;
	return GATE_OK;
}

const char *
keys_close(struct keys *keys, size_t first)
{
	struct key *list = keys->list + first;
	size_t count = keys->count - first;

	keys->count = first;
	if (count <= KEYS_FEW)
		return NULL;
	qsort(list, count, sizeof(*list), compare_keys);
	for (size_t i = 1; i < count; i++) {
		const char *a = list[i - 1].text;
		const char *b = list[i].text;

		if (compare_keys(&list[i - 1], &list[i]) == 0)
			return a > b ? a : b;
	}
	return NULL;
}
