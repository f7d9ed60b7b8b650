/*
 * skipped.c - what of a spool directory cannot be used and is passed over.
 */
#include "journal/skipped.h"

#include <stdlib.h>
#include <string.h>

#include "base/fnv.h"

void
skipped_init(struct skipped *skipped, struct skipped_board *board)
{
	*skipped = (struct skipped){ .board = board };
}

void
skipped_fini(struct skipped *skipped)
{
	free(skipped->items);
	*skipped = (struct skipped){ 0 };
}

/* Of slot and segment; never 0. */
static unsigned long long
hash_of(const char *slot, const char *segment)
{
	uint64_t hash = fnv_add(FNV_BASIS, slot);

	return fnv_add(fnv_add(hash, "/"), segment) | 1;
}

/* False: another has told, or does now. */
static bool
is_first(struct skipped_board *board, unsigned long long hash)
{
	for (size_t i = 0; i < SKIPPED_TOLD; i++)
		if (atomic_load(&board->told[i]) == hash)
			return false;
	for (size_t i = 0; i < SKIPPED_TOLD; i++) {
		unsigned long long there = 0;

		if (atomic_compare_exchange_strong(&board->told[i], &there,
			hash))
			return true;
		if (there == hash)
			return false;
	}
	return true; /* the board is full */
}

static void
untell(struct skipped_board *board, unsigned long long hash)
{
	for (size_t i = 0; i < SKIPPED_TOLD; i++) {
		unsigned long long there = hash;

		(void)atomic_compare_exchange_strong(&board->told[i], &there,
		    0);
	}
}

static struct skipped_item *
find(const struct skipped *skipped, const char *slot, const char *segment)
{
	for (size_t i = 0; i < skipped->count; i++)
		if (strcmp(skipped->items[i].slot, slot) == 0 &&
		    strcmp(skipped->items[i].segment, segment) == 0)
			return &skipped->items[i];
	return NULL;
}

bool
skipped_has(const struct skipped *skipped, const char *slot,
    const char *segment)
{
	return find(skipped, slot, segment) != NULL;
}

static void
copy_name(char to[SLOT_NAME_SIZE], const char *name)
{
	size_t len = strnlen(name, SLOT_NAME_SIZE - 1);

	memcpy(to, name, len);
	to[len] = '\0';
}

bool
skipped_add(struct skipped *skipped, const char *slot, const char *segment)
{
	struct skipped_item *item = find(skipped, slot, segment);

	if (item != NULL) {
		item->met = true;
		return false;
	}
	item = realloc(skipped->items, (skipped->count + 1) * sizeof(*item));
	if (item != NULL) {
		skipped->items = item;
		item += skipped->count++;
		copy_name(item->slot, slot);
		copy_name(item->segment, segment);
		item->met = true;
	}
	return is_first(skipped->board, hash_of(slot, segment));
}

void
skipped_usable(struct skipped *skipped, const char *slot, const char *segment)
{
	untell(skipped->board, hash_of(slot, segment));
}

size_t
skipped_count(const struct skipped_board *board)
{
	size_t count = 0;

	for (size_t i = 0; i < SKIPPED_TOLD; i++)
		count += atomic_load(&board->told[i]) != 0;
	return count;
}

void
skipped_leave(struct skipped *skipped, const char *slot)
{
	size_t kept = 0;

	for (size_t i = 0; i < skipped->count; i++) {
		const struct skipped_item *item = &skipped->items[i];

		if (strcmp(item->slot, slot) != 0 || item->segment[0] == '\0')
			skipped->items[kept++] = *item;
	}
	skipped->count = kept;
}

void
skipped_begin(struct skipped *skipped)
{
	for (size_t i = 0; i < skipped->count; i++)
		skipped->items[i].met = false;
}

void
skipped_end(struct skipped *skipped)
{
	size_t kept = 0;

	for (size_t i = 0; i < skipped->count; i++) {
		const struct skipped_item *item = &skipped->items[i];

		if (item->met)
			skipped->items[kept++] = *item;
		else
			untell(skipped->board,
			    hash_of(item->slot, item->segment));
	}
	skipped->count = kept;
}
