/*
 * fuzz_sse.c - a stream has the same events however it is split.
 *
 * The first byte chooses a split; the rest, repeated by the second byte so
 * that the ceiling is reached too, is the stream.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "http/sse.h"

#define NOTES_MAX ((size_t)256 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool promise)
{
	if (!promise)
		abort();
}

static enum err
note(void *arg, const struct sse_event *event)
{
	struct buf *notes = arg;

	must(event->data[event->data_len] == '\0');
	must(event->raw_len <= SSE_EVENT_MAX);
	must(event->data_len < event->raw_len);
	buf_addf(notes, "%s %zu %zu ", event->type, event->data_len,
	    event->raw_len);
	buf_add(notes, event->data, event->data_len);
	buf_add(notes, event->raw, event->raw_len);
	return OK;
}

/* Parts of size bytes, or of varying sizes when size is 0. */
static void
feed(const char *stream, size_t len, size_t size, struct buf *notes)
{
	struct sse_parser parser;
	enum err err = OK;
	uint32_t state = 1;
	size_t part;

	buf_init(notes, NOTES_MAX);
	sse_parser_init(&parser);
	for (size_t at = 0; at < len && err == OK; at += part) {
		state = state * 1664525 + 1013904223;
		part = size > 0 ? size : (state >> 24) % 7 + 1;
		if (part > len - at)
			part = len - at;
		err = sse_parser_feed(&parser, stream + at, part, note, notes);
	}
	buf_addf(notes, "%d", (int)err);
	must(buf_ok(notes));
	sse_parser_fini(&parser);
}

static void
compare(const char *stream, size_t len, size_t size)
{
	struct buf whole;
	struct buf parts;

	feed(stream, len, len, &whole);
	feed(stream, len, size, &parts);
	must(whole.len == parts.len);
	must(memcmp(whole.data, parts.data, whole.len) == 0);
	buf_fini(&whole);
	buf_fini(&parts);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *stream = (const char *)data + 2;
	struct buf repeated;
	size_t times;

	if (size < 3)
		return 0;
	size -= 2;
	compare(stream, size, 1);
	compare(stream, size, 0);
	/* Seldom, for it is slow: past the ceiling of an event. */
	times = data[0] == 255 && data[1] == 255 ? SSE_EVENT_MAX / size + 2
						 : data[1] % 4 + 1;
	buf_init(&repeated, NOTES_MAX);
	for (size_t i = 0; i < times; i++)
		buf_add(&repeated, stream, size);
	must(buf_ok(&repeated));
	compare(repeated.data, repeated.len, (size_t)data[0] * 17 + 1);
	buf_fini(&repeated);
	return 0;
}
