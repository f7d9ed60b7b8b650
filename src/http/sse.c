/*
 * sse.c - server-sent events: writing and parsing (WHATWG HTML, 9.2).
 *
 * Time is linear in the input for any split: a byte is looked at once for line
 * ends, and what is reported is dropped once a slice.
 */
#include "http/sse.h"

#include <stdint.h>
#include <string.h>

/* Of a feed, taken in at once: what a parser keeps between feeds is little
 * more than an unfinished event, and there are thousands of parsers. */
#define SLICE ((size_t)4096)

typedef enum err (*sse_each_fn)(void *arg, const struct sse_event *event);

/* A line in line_buf: [start,end) without its terminator. */
struct line {
	size_t start;
	size_t end;
	size_t after; /* where the next one starts */
};

/* Eight bytes at a time as far as none of them ends a line. */
static const char *
find_line_end(const char *at, const char *end)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	uint64_t word;
	uint64_t found;

	for (; end - at >= (ptrdiff_t)sizeof(word); at += sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		found = ((word ^ ones * '\n') - ones) |
			((word ^ ones * '\r') - ones);
		if ((found & ~word & ones * 0x80) != 0)
			break;
	}
	while (at < end && *at != '\n' && *at != '\r')
		at++;
	return at;
}

void
sse_data(struct buf *out, const char *text, size_t len)
{
	const char *end = text + len;
	const char *line_end;

	for (;;) {
		line_end = find_line_end(text, end);
		buf_adds(out, "data: ");
		buf_add(out, text, (size_t)(line_end - text));
		buf_addc(out, '\n');
		if (line_end == end)
			break;
		text = line_end + 1;
		if (*line_end == '\r' && text < end && *text == '\n')
			text++;
	}
	buf_addc(out, '\n');
}

void
sse_parser_init(struct sse_parser *parser)
{
	*parser = (struct sse_parser){ .failed = OK };
	buf_init(&parser->line_buf, SSE_EVENT_MAX + SLICE);
	buf_init(&parser->data, SSE_EVENT_MAX);
	buf_init(&parser->type, SSE_EVENT_MAX);
}

void
sse_parser_fini(struct sse_parser *parser)
{
	buf_fini(&parser->line_buf);
	buf_fini(&parser->data);
	buf_fini(&parser->type);
}

static void
start_event(struct sse_parser *parser, size_t at)
{
	parser->event = at;
	parser->line = at;
	parser->scanned = at;
	parser->has_data = false;
	parser->crlf = false;
	buf_reset(&parser->data);
	buf_reset(&parser->type);
}

/* False while it is open whether the stream starts with a BOM. */
static bool
skip_bom(struct sse_parser *parser)
{
	static const char bom[] = "\xef\xbb\xbf";
	const struct buf *in = &parser->line_buf;
	size_t len = in->len < 3 ? in->len : 3;

	if (parser->started)
		return true;
	if (len == 0)
		return false;
	if (memcmp(in->data, bom, len) == 0) {
		if (len < 3)
			return false;
		start_event(parser, 3);
	}
	parser->started = true;
	return true;
}

/*
 * The next line; false when it is not complete.  A CR at the end of what came
 * may be half of a CRLF: it waits, unless it ends an event whose lines do not
 * end in CRLF; then an LF that follows is dropped, however the bytes came.
 */
static bool
next_line(struct sse_parser *parser, struct line *out)
{
	const char *data = parser->line_buf.data;
	size_t len = parser->line_buf.len;
	size_t end;
	bool blank;

	end =
	    (size_t)(find_line_end(data + parser->scanned, data + len) - data);
	parser->scanned = end;
	if (end == len)
		return false;
	blank = end == parser->line;
	*out = (struct line){ parser->line, end, end + 1 };
	if (data[end] == '\n') {
		parser->crlf = false;
	} else if (blank && !parser->crlf) {
		parser->skip_lf = true;
	} else if (end + 1 == len) {
		return false;
	} else {
		parser->crlf = data[end + 1] == '\n';
		out->after += parser->crlf;
	}
	parser->line = out->after;
	parser->scanned = out->after;
	return true;
}

static bool
is_field(const char *name, size_t len, const char *field)
{
	return strlen(field) == len && memcmp(name, field, len) == 0;
}

static void
take_field(struct sse_parser *parser, const struct line *line)
{
	const char *name = parser->line_buf.data + line->start;
	size_t len = line->end - line->start;
	const char *colon = memchr(name, ':', len);
	size_t name_len = colon == NULL ? len : (size_t)(colon - name);
	const char *value = colon == NULL ? name + len : colon + 1;

	if (value < name + len && *value == ' ')
		value++;
	if (is_field(name, name_len, "data")) {
		if (parser->has_data)
			buf_addc(&parser->data, '\n');
		parser->has_data = true;
		buf_add(&parser->data, value, (size_t)(name + len - value));
	} else if (is_field(name, name_len, "event")) {
		buf_reset(&parser->type);
		buf_add(&parser->type, value, (size_t)(name + len - value));
	}
}

/* The event that ends before after. */
static enum err
report(struct sse_parser *parser, size_t after, sse_each_fn each, void *arg)
{
	struct sse_event event = {
		.type = buf_str(&parser->type),
		.data = buf_str(&parser->data),
		.data_len = parser->data.len,
		.raw = parser->line_buf.data + parser->event,
		.raw_len = after - parser->event,
	};
	enum err err = OK;

	if (event.raw_len > SSE_EVENT_MAX)
		return ERR_TOO_LARGE;
	/* Their ceilings are above that: it was memory. */
	if (!buf_ok(&parser->data) || !buf_ok(&parser->type))
		return ERR_MEMORY;
	if (parser->has_data)
		err = each(arg, &event);
	start_event(parser, after);
	return err;
}

/* An LF that came after the CR that ended an event. */
static void
skip_lf(struct sse_parser *parser)
{
	const struct buf *in = &parser->line_buf;

	if (!parser->skip_lf || parser->line == in->len)
		return;
	parser->skip_lf = false;
	if (in->data[parser->line] == '\n')
		start_event(parser, parser->line + 1);
}

static enum err
take_lines(struct sse_parser *parser, sse_each_fn each, void *arg)
{
	struct line line;
	enum err err;

	if (!skip_bom(parser))
		return OK;
	for (skip_lf(parser); next_line(parser, &line); skip_lf(parser)) {
		if (line.end > line.start) {
			take_field(parser, &line);
			continue;
		}
		err = report(parser, line.after, each, arg);
		if (err != OK)
			return err;
	}
	if (parser->line_buf.len - parser->event > SSE_EVENT_MAX)
		return ERR_TOO_LARGE;
	return OK;
}

static void
drop_reported(struct sse_parser *parser)
{
	size_t reported = parser->event;

	buf_drop_front(&parser->line_buf, reported);
	parser->event = 0;
	parser->line -= reported;
	parser->scanned -= reported;
}

enum err
sse_parser_feed(struct sse_parser *parser, const char *data, size_t len,
    enum err (*each)(void *arg, const struct sse_event *event), void *arg)
{
	size_t part;

	for (; len > 0 && parser->failed == OK; len -= part, data += part) {
		part = len < SLICE ? len : SLICE;
		buf_add(&parser->line_buf, data, part);
		if (!buf_ok(&parser->line_buf)) {
			parser->failed = ERR_MEMORY;
			break;
		}
		parser->failed = take_lines(parser, each, arg);
		drop_reported(parser);
	}
	return parser->failed;
}
