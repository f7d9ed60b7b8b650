/*
 * playground.h - GET /playground/stream: one prompt to several models at once,
 * over one event stream.
 */
#ifndef API_PLAYGROUND_H
#define API_PLAYGROUND_H

#include "config/config.h"
#include "http/request.h"

/*
 * Takes as many from RATE_LIMIT_MAX_REQUESTS as there are models; every answer
 * says what is left.  HEAD tells whether the same GET would be let through, and
 * neither starts nor counts anything.
 */
enum handled playground_stream(struct http_request *req);

/* How long, in milliseconds, a turn of a session can be under way: one that is
 * open longer has nobody who could end it. */
int64_t playground_patience_ms(const struct config *config);

#endif /* API_PLAYGROUND_H */
