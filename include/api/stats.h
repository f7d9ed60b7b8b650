/*
 * stats.h - GET /api/user/stats: what a user has logged and called so far.
 *
 * Read from the hourly counts, not from the rows: logs that their owner
 * deleted no longer count, what retention removed still does.  calls are the
 * model calls that this server made, whatever family asked for them.
 */
#ifndef API_STATS_H
#define API_STATS_H

#include "http/request.h"

enum handled stats_get(struct http_request *req);

#endif /* API_STATS_H */
