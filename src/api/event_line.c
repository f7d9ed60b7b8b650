/*
 * event_line.c - the events of the EventSource families.
 *
 * JSON as it is written here has no line ends: one data line is enough.
 */
#include "api/event_line.h"

#include "http/sse.h"

/* The text of a provider's event, where each byte can become six. */
#define LINE_MAX (6 * (size_t)SSE_EVENT_MAX + 4096)

void
event_line_open(struct event_line *line, const char *type)
{
	buf_init(&line->buf, LINE_MAX);
	buf_adds(&line->buf, "data: ");
	jsonw_init(&line->json, &line->buf);
	jsonw_object(&line->json);
	jsonw_kv(&line->json, "type", type);
}

enum err
event_line_send(struct event_line *line, struct outlet *outlet)
{
	bool whole;

	jsonw_end_object(&line->json);
	buf_adds(&line->buf, "\n\n");
	whole = buf_ok(&line->buf);
	if (whole)
		outlet_write(outlet, line->buf.data, line->buf.len);
	buf_fini(&line->buf);
	return whole ? OK : ERR_MEMORY;
}
