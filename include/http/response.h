/*
 * response.h - the answer: whole (response_*), or as it comes (stream_*).
 */
#ifndef HTTP_RESPONSE_H
#define HTTP_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "http/request.h"

/* A header line; values with CR, LF, NUL or bytes above 0x7e are dropped and
 * recorded in req->fail (they would split the answer). */
void response_header(struct http_request *req, const char *name,
    const char *value);
void response_headerf(struct http_request *req, const char *name,
    const char *fmt, ...) PRINTF_LIKE(3, 4);
/* A header of that name was added; any case. */
bool response_has_header(const struct http_request *req, const char *name);

/* Sets status and Content-Type; the body is what the caller then appends to
 * req->out.  Each returns ANSWERED, so that handlers end in one line. */
enum handled response_json(struct http_request *req, int status);
enum handled response_type(struct http_request *req, int status,
    const char *content_type);
/* The same with a ready body, copied. */
enum handled response_json_text(struct http_request *req, int status,
    const char *json, size_t len);
enum handled response_empty(struct http_request *req, int status); /* 204 */

/*
 * Streams.  stream_begin sends status and headers (X-Accel-Buffering: no,
 * Cache-Control: no-store) at once.  stream_write sends one flush; ERR_GONE
 * when the client left.  Only write when stream_writable(), or in a thread
 * that may block.  For HEAD nothing of the body is sent.
 */
enum err stream_begin(struct http_request *req, int status,
    const char *content_type) MUST_CHECK;
enum err stream_write(struct http_request *req, const void *data,
    size_t len) MUST_CHECK;
bool stream_writable(struct http_request *req);

/*
 * Sends the headers of a whole answer and its body; called by
 * request_finish() when nothing was streamed.  An answer that did not fit, or
 * that nobody made, becomes a problem.  Headers that every answer has are
 * added here unless the handler set them.
 */
enum err response_send(struct http_request *req) MUST_CHECK;

#endif /* HTTP_RESPONSE_H */
