/*
 * sse.h - server-sent events (WHATWG HTML, section 9.2): writing, and the
 * parser for what providers send.
 */
#ifndef HTTP_SSE_H
#define HTTP_SSE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

/* Appends "data: <line>\n" a line of text, and the blank line. */
void sse_data(struct buf *out, const char *text, size_t len);

#define SSE_EVENT_MAX (1024 * 1024) /* bytes of one event; S-43 */

/* One parsed event.  raw is the event's bytes as they came, with its blank
 * line, for passing on untouched; all borrowed until the callback returns. */
struct sse_event {
	const char *type; /* "" when not named */
	const char *data; /* NUL-terminated, lines joined by \n */
	size_t data_len;
	const char *raw;
	size_t raw_len;
};

/*
 * line_buf holds what is not reported yet:
 *
 *	| finished lines of the event | unfinished line   |
 *	^event                        ^line     ^scanned  ^line_buf.len
 */
struct sse_parser {
	struct buf line_buf; /* bytes of the unfinished event */
	struct buf data;
	struct buf type;
	size_t scanned; /* no line ends between line and here */
	size_t line;
	size_t event;
	bool started;    /* past a BOM */
	bool has_data;   /* the event has a data field, be it empty */
	bool crlf;       /* the event's last line ended in CRLF */
	bool skip_lf;    /* an LF next belongs to the CR before the event */
	enum err failed; /* what feed returned; it returns it ever after */
};

void sse_parser_init(struct sse_parser *parser);
void sse_parser_fini(struct sse_parser *parser);

/*
 * Takes any split of the stream: each(arg, event) once an event with data is
 * complete.  Comments stay in the raw of their event; what ends in a blank line
 * without data (a heartbeat) is dropped whole.  Lines end in LF, CR or CRLF; a
 * BOM at the start is skipped.  ERR_TOO_LARGE past SSE_EVENT_MAX, ERR_MEMORY;
 * an error of each stops and is returned.
 */
enum err sse_parser_feed(struct sse_parser *parser, const char *data,
    size_t len, enum err (*each)(void *arg, const struct sse_event *event),
    void *arg) MUST_CHECK;

#endif /* HTTP_SSE_H */
