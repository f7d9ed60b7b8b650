/*
 * dispatch.h - the policy that every request passes, in one place and order:
 * known path? method? well-formed? size? who? role? limit? then the handler.
 */
#ifndef API_DISPATCH_H
#define API_DISPATCH_H

#include "config/config.h"
#include "http/request.h"

/*
 * Answers req or parks it.  req->app and req->db are set.  After ANSWERED the
 * caller calls request_finish(); after PARKED it must not touch req.
 */
enum handled dispatch(struct http_request *req);

/* The limits and the Idempotency-Key of who asks: for a handler that has found
 * out who that is by itself.  False: the client was answered. */
bool dispatch_known_or_reply(struct http_request *req) MUST_CHECK;

/* The last step alone: the matched route's handler; what pools run. */
enum handled dispatch_handler(struct http_request *req);

/* The largest body that any route takes, in bytes. */
size_t dispatch_body_max(const struct config *config);

#endif /* API_DISPATCH_H */
