/*
 * mutate.c - a segment of the spool, damaged again and again.
 *
 *	mutate SEED COUNT
 *
 * Every round damages a good segment in one of the ways below and reads it.
 * A record that is found has to be one of those written, to the last bit, and
 * one flipped bit may cost one record at most.  Prints what was found as JSON;
 * fails when a record was changed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "journal/segment.h"

#define RECORDS    24
#define LINE_MAX   600
#define DAMAGE_MAX 200 /* bytes that are overwritten, cut out or put in */
#define WAYS       8

struct written {
	enum record_kind kind;
	struct uuid id;
	size_t len;
	char line[LINE_MAX];
};

struct found {
	const struct written *written;
	uint64_t records, changed;
};

static uint64_t
dice(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static size_t
below(uint64_t *state, size_t end)
{
	return (size_t)(dice(state) % end);
}

static void
fill(uint64_t *state, void *out, size_t len)
{
	unsigned char *bytes = out;

	for (size_t i = 0; i < len; i++)
		bytes[i] = (unsigned char)(dice(state) >> 32);
}

static void
write_segment(uint64_t *state, struct written *written, struct buf *out)
{
	struct uuid id;

	fill(state, id.bytes, sizeof(id.bytes));
	segment_add_header(out, &id);
	for (size_t i = 0; i < RECORDS; i++) {
		struct written *each = &written[i];

		each->kind = below(state, 2) == 0 ? RECORD_CALL : RECORD_EVENT;
		each->len = 1 + below(state, LINE_MAX);
		fill(state, each->id.bytes, sizeof(each->id.bytes));
		fill(state, each->line, each->len);
		/* as they are in text: a mark of a record may be in one */
		if (i % 5 == 0 && each->len >= 4)
			memcpy(each->line, "MREC", 4);
		segment_add_record(out,
		    &(struct record_view){ .kind = each->kind,
			.id = each->id,
			.line = each->line,
			.len = each->len });
	}
}

/* bytes has room for DAMAGE_MAX more; the new length. */
static size_t
damage(uint64_t *state, char *bytes, size_t len)
{
	size_t at = below(state, len);
	size_t size = 1 + below(state, DAMAGE_MAX);
	size_t other;

	if (size > len - at)
		size = len - at;
	other = below(state, len - size + 1);
	switch (below(state, WAYS)) {
	case 0: /* some bits */
		for (size_t i = 0; i <= size % 8; i++)
			bytes[below(state, len)] ^=
			    (char)(1 << below(state, 8));
		return len;
	case 1:
		fill(state, bytes + at, size);
		return len;
	case 2: /* blocks that were never written */
		memset(bytes + at, 0, size);
		return len;
	case 3: /* cut out */
		memmove(bytes + at, bytes + at + size, len - at - size);
		return len - size;
	case 4: /* put in */
		memmove(bytes + at + size, bytes + at, len - at);
		fill(state, bytes + at, size);
		return len + size;
	case 5: /* a copy of another place */
		memmove(bytes + at, bytes + other, size);
		return len;
	case 6: /* ends early */
		return at;
	default: /* a number that is believed: lengths, versions */
		memset(bytes + at, 0xff, size < 4 ? size : 4);
		return len;
	}
}

static bool
is_written(const struct written *written, const struct record_view *record)
{
	return written->kind == record->kind && written->len == record->len &&
	       memcmp(written->id.bytes, record->id.bytes,
		   sizeof(record->id.bytes)) == 0 &&
	       memcmp(written->line, record->line, record->len) == 0;
}

static enum err
meet(void *arg, const struct record_view *record)
{
	struct found *found = arg;
	size_t i = 0;

	while (i < RECORDS && !is_written(&found->written[i], record))
		i++;
	found->records++;
	found->changed += i == RECORDS;
	return OK;
}

/* Reads a copy of exactly that size, so that a sanitizer sees its end. */
static bool
scan(const char *bytes, size_t len, struct found *found)
{
	const struct segment_visitor visitor = { .record = meet, .arg = found };
	struct segment_report report;
	char *copy = malloc(len == 0 ? 1 : len);
	enum err err;

	if (copy == NULL)
		abort();
	memcpy(copy, bytes, len);
	err = segment_scan(copy, len, &visitor, &report);
	free(copy);
	return err == OK;
}

static bool
rounds(uint64_t *state, const struct buf *good, const struct written *written,
    long count)
{
	char *bytes = malloc(good->len + DAMAGE_MAX);
	uint64_t refused = 0, found_all = 0, changed = 0, dear = 0;

	if (bytes == NULL)
		abort();
	for (long i = 0; i < count; i++) {
		struct found found = { .written = written };
		bool one_bit = i % 4 == 0;
		size_t len = good->len;

		memcpy(bytes, good->data, len);
		if (one_bit)
			bytes[SEGMENT_HEADER_SIZE +
			      below(state, len - SEGMENT_HEADER_SIZE)] ^=
			    (char)(1 << below(state, 8));
		else
			len = damage(state, bytes, len);
		refused += !scan(bytes, len, &found);
		found_all += found.records;
		changed += found.changed;
		dear += one_bit && found.records + 1 < RECORDS;
	}
	free(bytes);
	(void)printf("{\"mutations\": %ld, \"written\": %d, "
		     "\"found\": %" PRIu64 ", \"refused\": %" PRIu64
		     ", \"changed\": %" PRIu64 ", \"dear\": %" PRIu64 "}\n",
	    count, RECORDS, found_all, refused, changed, dear);
	return changed == 0 && dear == 0;
}

int
main(int argc, char **argv)
{
	static struct written written[RECORDS];
	uint64_t state;
	struct buf good;
	bool well;

	if (argc != 3)
		return 2;
	state = strtoull(argv[1], NULL, 10) * 2 + 1;
	buf_init(&good, SIZE_MAX / 2);
	write_segment(&state, written, &good);
	well = buf_ok(&good) &&
	       rounds(&state, &good, written, strtol(argv[2], NULL, 10));
	buf_fini(&good);
	return well ? 0 : 1;
}
