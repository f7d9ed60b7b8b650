/*
 * logs.h - GET /api/event-logs, /api/llm-logs, and one of either.
 *
 * Filters of both lists: user_id, since (inclusive) and until (exclusive) of
 * the record's timestamp, q (a substring of the texts, letter case aside);
 * level of events, source of LLM logs.  Newest timestamp first.
 *
 * limit is 1 to 200; without it a list has the newest LOGS_NEWEST records and
 * Link, while format=csv or ndjson has all of them.
 */
#ifndef API_LOGS_H
#define API_LOGS_H

#include "http/request.h"

#define LOGS_NEWEST 1000

enum handled logs_events_list(struct http_request *req);
enum handled logs_event_get(struct http_request *req);
enum handled logs_event_delete(struct http_request *req);

/* LLM logs are what /api/llm-log took; the calls that this server made itself
 * are in /v1/calls. */
enum handled logs_llm_list(struct http_request *req);
enum handled logs_llm_get(struct http_request *req);
enum handled logs_llm_delete(struct http_request *req);

#endif /* API_LOGS_H */
