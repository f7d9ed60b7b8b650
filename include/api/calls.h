/*
 * calls.h - GET /v1/calls and /v1/calls/:id: the caller's own records.
 */
#ifndef API_CALLS_H
#define API_CALLS_H

#include "http/request.h"

/*
 * Newest first: {object, data, has_more, next_cursor}, or format=csv or
 * ndjson.  Filters: model, status, since (inclusive), until (exclusive), q (a
 * substring of either text, letter case aside); limit and cursor.
 */
enum handled calls_list(struct http_request *req);

/* One with the texts of its request and response. */
enum handled calls_get(struct http_request *req);

#endif /* API_CALLS_H */
