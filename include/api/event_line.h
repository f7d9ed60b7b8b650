/*
 * event_line.h - the events of the EventSource families: unnamed, their data
 * one JSON object with a type.
 *
 *	event_line_open(&line, "chunk");
 *	jsonw_kv(&line.json, "content", text);
 *	sent = event_line_send(&line, outlet);
 */
#ifndef API_EVENT_LINE_H
#define API_EVENT_LINE_H

#include "base/buf.h"
#include "llm/call.h"
#include "json/write.h"

struct event_line {
	struct buf buf;
	struct jsonw json; /* in the object */
};

void event_line_open(struct event_line *line, const char *type);

/* Queues it for outlet; frees line in every case.  ERR_MEMORY. */
enum err event_line_send(struct event_line *line,
    struct outlet *outlet) MUST_CHECK;

#endif /* API_EVENT_LINE_H */
