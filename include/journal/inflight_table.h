/*
 * inflight_table.h - the layout of the calls in hand, for the files of
 * inflight.h only.
 *
 *	file: | table | slot 0 | slot 1 | ...
 *	slot: | head | strings of the row, each with its NUL | answer NUL |
 *	               data                                    text
 *
 * The strings are packed, so that a short call touches one page.  A slot
 * counts once `used` is set, after everything that it covers was written.
 *
 * The file may be mapped by more than one process, at different addresses:
 * what belongs to a process is in struct inflight, and a slot's pointers are
 * those of the process that entered the call.
 */
#ifndef JOURNAL_INFLIGHT_TABLE_H
#define JOURNAL_INFLIGHT_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "journal/inflight.h"

#define INFLIGHT_HEAD   4096 /* of a slot, before its answer text at the latest */
#define INFLIGHT_STRIDE (INFLIGHT_HEAD + INFLIGHT_TEXT_MAX)

/* The strings of a row that are copied. */
enum part {
	PART_REQUEST,
	PART_KEY,
	PART_KIND,
	PART_PROVIDER,
	PART_MODEL,
	PART_UPSTREAM,
	PART_END_USER,
	PART_ENVIRONMENT,
	PART_SOURCE,
	PART_CHAT,
	PART_SESSION,
	PART_REQUEST_ID,
	PART_METADATA,
	PART_COUNT
};

struct inflight_slot {
	atomic_uint used;
	uint32_t backed; /* bytes of the slot that have room under them */
	struct inflight *table;
	uint32_t next_free;         /* index + 1 of another; 0: the last */
	uint32_t text;              /* offset in data of the answer */
	atomic_uint text_len;       /* bytes of it, without the NUL */
	struct call_row row;        /* pointers are filled in by the sweep */
	uint16_t parts[PART_COUNT]; /* offset + 1 in data; 0: NULL */
	char data[];
};

#define INFLIGHT_DATA (INFLIGHT_STRIDE - sizeof(struct inflight_slot))

struct inflight_table {
	uint64_t format;
	uint32_t slot_head; /* the layout, in case the program changed */
	uint32_t row_size;
	uint64_t calls;
	uint64_t size;  /* of the whole mapping */
	uint64_t slots; /* offset of the first slot */
	struct uuid life;
	atomic_uint count;
	uint32_t fresh; /* slots from here on were never used */
	uint32_t free;  /* index + 1 of one to use again; 0: none */
};

struct inflight {
	struct inflight_table *at;
	int fd;      /* of the file; -1: anonymous memory */
	bool memory; /* no disk is under it */
};

#define INFLIGHT_FILE "inflight." /* and the number of the table */

struct inflight_slot *inflight_slot_at(const struct inflight *table,
    size_t index);

/* Is the file a table with calls, or a life, in it? */
bool inflight_file_is_used(int dir_fd, const char *name);

#endif /* JOURNAL_INFLIGHT_TABLE_H */
