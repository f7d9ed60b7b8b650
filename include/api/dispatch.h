/*
 * dispatch.h - the policy that every request passes, in one place and order:
 * known path? method? well-formed? size? who? role? limit? then the handler.
 */
#ifndef API_DISPATCH_H
#define API_DISPATCH_H

#include "http/request.h"

/*
 * Answers req or parks it.  req->app and req->db are set.  After ANSWERED the
 * caller calls request_finish(); after PARKED it must not touch req.
 */
enum handled dispatch(struct http_request *req);

#endif /* API_DISPATCH_H */
