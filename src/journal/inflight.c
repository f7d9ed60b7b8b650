/*
 * inflight.c - the calls of a worker in memory that outlives it.
 *
 * A file has room under every page before it is written to: writing into a
 * hole of a full disk, or of full memory, would kill the worker.
 */
#include "journal/inflight_table.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/codec.h"

#define REQUEST_MAX 2048 /* bytes of request text */
#define STRING_MAX  256  /* bytes of any other */

/* At most max bytes, cut between characters.  JSON is kept whole or not. */
static void
put_part(struct inflight_slot *slot, enum part part, const char *text,
    size_t max)
{
	size_t len;

	slot->parts[part] = 0;
	if (text == NULL)
		return;
	len = strnlen(text, max);
	if (text[len] != '\0') {
		if (part == PART_METADATA)
			return;
		len = codec_utf8_valid(text, len);
	}
	slot->parts[part] = (uint16_t)(slot->text + 1);
	memcpy(slot->data + slot->text, text, len);
	slot->data[slot->text + len] = '\0';
	slot->text += (uint32_t)len + 1;
}

/* Bytes of request text that fit into the head after the other strings. */
static size_t
request_room(const struct inflight_slot *slot)
{
	size_t room = INFLIGHT_HEAD - sizeof(*slot) - slot->text - 2;

	return room < REQUEST_MAX ? room : REQUEST_MAX;
}

_Static_assert(sizeof(struct inflight_slot) +
		       (PART_COUNT - 1) * (STRING_MAX + 1) + 2 <
		   INFLIGHT_HEAD,
    "the strings fit into the head");

static void
put_row(struct inflight_slot *slot, const struct call_row *row)
{
	const char *const texts[PART_COUNT] = {
		[PART_KEY] = row->key_id,
		[PART_KIND] = row->kind,
		[PART_PROVIDER] = row->provider,
		[PART_MODEL] = row->model,
		[PART_UPSTREAM] = row->upstream_model,
		[PART_END_USER] = row->end_user,
		[PART_ENVIRONMENT] = row->environment,
		[PART_SOURCE] = row->source,
		[PART_CHAT] = row->chat_id,
		[PART_SESSION] = row->session_id,
		[PART_REQUEST_ID] = row->request_id,
		[PART_METADATA] = row->metadata,
	};

	slot->row = *row;
	slot->text = 0;
	for (int i = PART_REQUEST + 1; i < PART_COUNT; i++)
		put_part(slot, (enum part)i, texts[i], STRING_MAX);
	put_part(slot, PART_REQUEST, row->request_text, request_room(slot));
	slot->data[slot->text] = '\0';
	atomic_store(&slot->text_len, 0);
}

/* How much to back so that len bytes are: whole pages, where slots are. */
static size_t
backed_for(size_t len)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (INFLIGHT_STRIDE % page != 0)
		return INFLIGHT_STRIDE;
	return (len + page - 1) / page * page;
}

/* Has room under the first len bytes of slot, of which backed have it; what
 * there is after, or 0. */
static size_t
back(const struct inflight *table, const struct inflight_slot *slot,
    size_t backed, size_t len)
{
	off_t offset = (const char *)slot - (const char *)table->at;

	if (table->fd < 0 || backed >= len)
		return backed >= len ? backed : len;
	len = backed_for(len);
	if (fallocate(table->fd, 0, offset + (off_t)backed,
		(off_t)(len - backed)) != 0)
		return 0;
	return len;
}

/* A slot for a call, backed as far as its head; NULL: none. */
static struct inflight_slot *
take_slot(struct inflight *table)
{
	struct inflight_table *at = table->at;
	struct inflight_slot *slot;
	size_t backed;

	if (at->free != 0) {
		slot = inflight_slot_at(table, at->free - 1);
		at->free = slot->next_free;
		return slot;
	}
	if (at->fresh >= at->calls)
		return NULL;
	slot = inflight_slot_at(table, at->fresh);
	backed = back(table, slot, 0, INFLIGHT_HEAD);
	if (backed == 0)
		return NULL;
	slot->backed = (uint32_t)backed;
	at->fresh++;
	return slot;
}

struct inflight_slot *
inflight_enter(struct inflight *table, const struct call_row *row)
{
	struct inflight_slot *slot = take_slot(table);

	if (slot == NULL)
		return NULL;
	slot->table = table;
	put_row(slot, row);
	atomic_store(&slot->used, 1);
	atomic_fetch_add(&table->at->count, 1);
	return slot;
}

/* Bytes of text that the slot can hold in all. */
static size_t
text_room(const struct inflight_slot *slot)
{
	size_t room = INFLIGHT_DATA - 1 - slot->text;

	return room < INFLIGHT_TEXT_MAX ? room : INFLIGHT_TEXT_MAX;
}

void
inflight_text(struct inflight_slot *slot, const char *text, size_t len)
{
	size_t used = atomic_load(&slot->text_len);
	char *end = slot->data + slot->text + used;
	size_t backed;

	if (len > text_room(slot) - used)
		len = text_room(slot) - used;
	if (len == 0)
		return;
	backed = back(slot->table, slot, slot->backed,
	    sizeof(*slot) + slot->text + used + len + 1);
	if (backed == 0)
		return;
	slot->backed = (uint32_t)backed;
	memcpy(end, text, len);
	end[len] = '\0';
	atomic_store(&slot->text_len, (unsigned)(used + len));
}

void
inflight_generated(struct inflight_slot *slot, int64_t characters)
{
	slot->row.answer_chars = characters;
}

void
inflight_used(struct inflight_slot *slot, const struct call_row *row)
{
	slot->row.prompt_tokens = row->prompt_tokens;
	slot->row.cached_tokens = row->cached_tokens;
	slot->row.reasoning_tokens = row->reasoning_tokens;
	slot->row.estimated = row->estimated;
	slot->row.cost_pico = row->cost_pico;
	atomic_thread_fence(memory_order_release);
	slot->row.completion_tokens = row->completion_tokens;
}

/* Gives the memory after the slot's first page back to the system. */
static void
shrink(const struct inflight *table, struct inflight_slot *slot)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t end = sizeof(*slot) + slot->text + slot->text_len + 1;

	if (!table->memory || INFLIGHT_STRIDE % page != 0 || end <= page)
		return;
	end = backed_for(end);
	if (madvise((char *)slot + page, end - page, MADV_REMOVE) == 0)
		slot->backed = (uint32_t)page;
}

void
inflight_leave(struct inflight *table, struct inflight_slot *slot)
{
	size_t offset =
	    (size_t)((char *)slot - (char *)inflight_slot_at(table, 0));

	atomic_store(&slot->used, 0);
	shrink(table, slot);
	slot->next_free = table->at->free;
	table->at->free = (uint32_t)(offset / INFLIGHT_STRIDE) + 1;
	atomic_fetch_sub(&table->at->count, 1);
}

size_t
inflight_count(const struct inflight *table)
{
	return atomic_load(&table->at->count);
}

void
inflight_begin(struct inflight *table, const struct uuid *life)
{
	table->at->life = *life;
}

void
inflight_end(struct inflight *table)
{
	table->at->life = (struct uuid){ { 0 } };
}

bool
inflight_life(const struct inflight *table, struct uuid *out)
{
	*out = table->at->life;
	return !uuid_is_zero(out);
}

bool
inflight_is_left(const struct inflight *table)
{
	struct uuid life;

	return inflight_count(table) > 0 || inflight_life(table, &life);
}

/* Nothing is believed: the file may have been cut by a power failure. */
static const char *
get_part(const struct inflight_slot *slot, enum part part)
{
	size_t offset = slot->parts[part];

	if (offset == 0 || offset > slot->text)
		return NULL;
	if (memchr(slot->data + offset - 1, '\0', slot->text - offset + 1) ==
	    NULL)
		return NULL;
	return slot->data + offset - 1;
}

/* The answer so far as a copy: the worker may have died while writing. */
static void
get_text(const struct inflight_slot *slot, struct buf *out)
{
	size_t len = atomic_load(&slot->text_len);

	buf_reset(out);
	if (len <= text_room(slot))
		buf_add(out, slot->data + slot->text,
		    codec_utf8_valid(slot->data + slot->text, len));
}

/* The end that the worker could not write. */
static void
get_row(const struct inflight_slot *slot, struct buf *text,
    struct call_row *row)
{
	get_text(slot, text);
	*row = slot->row;
	row->request_text = get_part(slot, PART_REQUEST);
	row->key_id = get_part(slot, PART_KEY);
	row->kind = get_part(slot, PART_KIND);
	row->provider = get_part(slot, PART_PROVIDER);
	row->model = get_part(slot, PART_MODEL);
	row->upstream_model = get_part(slot, PART_UPSTREAM);
	row->end_user = get_part(slot, PART_END_USER);
	row->environment = get_part(slot, PART_ENVIRONMENT);
	row->source = get_part(slot, PART_SOURCE);
	row->chat_id = get_part(slot, PART_CHAT);
	row->session_id = get_part(slot, PART_SESSION);
	row->request_id = get_part(slot, PART_REQUEST_ID);
	row->metadata = get_part(slot, PART_METADATA);
	row->response_text = buf_str(text);
	row->status = CALL_STATUS_INTERRUPTED;
	row->error = "worker_died";
	row->finished_us = clock_wall_us();
	if (row->finished_us < row->started_us)
		row->finished_us = row->started_us; /* it was set back */
	row->latency_us = row->finished_us - row->started_us;
}

void
inflight_each(const struct inflight *table,
    void (*each)(void *arg, const struct call_row *row), void *arg)
{
	const struct inflight_slot *slot;
	struct call_row row;
	struct buf text;

	buf_init(&text, INFLIGHT_TEXT_MAX);
	for (size_t i = 0; i < table->at->fresh; i++) {
		slot = inflight_slot_at(table, i);
		if (atomic_load(&slot->used) == 0 ||
		    slot->text >= INFLIGHT_DATA)
			continue;
		get_row(slot, &text, &row);
		if (row.kind != NULL)
			each(arg, &row);
	}
	buf_fini(&text);
}

/* Its slots are fresh again, with no more than a page each. */
void
inflight_empty(struct inflight *table)
{
	for (size_t i = 0; i < table->at->fresh; i++) {
		struct inflight_slot *slot = inflight_slot_at(table, i);

		if (atomic_load(&slot->used) == 0)
			continue;
		atomic_store(&slot->used, 0);
		if (slot->text < INFLIGHT_DATA)
			shrink(table, slot);
	}
	table->at->fresh = 0;
	table->at->free = 0;
	atomic_store(&table->at->count, 0);
}
