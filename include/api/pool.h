/*
 * pool.h - threads beside the request threads for work that takes long:
 * password hashing, exports.  Bounded queue; each thread has its own db.
 */
#ifndef API_POOL_H
#define API_POOL_H

#include <stddef.h>

#include "config/config.h"
#include "http/request.h"

struct pool;

struct pool_options {
	const struct config *config; /* borrowed */
	const char *name;            /* for the log */
	size_t threads;
	size_t queue_max;
	enum handled (*run)(struct http_request *req);
};

/* Starts threads that run options->run(req) for each request given. */
enum err pool_start(const struct pool_options *options,
    struct pool **out) MUST_CHECK;
/* Ends the threads after what is queued is done. */
void pool_stop(struct pool *pool);

/* Takes req over; run() is called with req->db set and, if it ANSWERED, the
 * pool calls request_finish().  ERR_BUSY when the queue is full. */
enum err pool_submit(struct pool *pool, struct http_request *req) MUST_CHECK;

#endif /* API_POOL_H */
