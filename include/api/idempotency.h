/*
 * idempotency.h - Idempotency-Key: a POST that is sent again is done once.
 *
 *	first      taken ─▶ handler ─▶ the answer is kept ─▶ the answer is sent
 *	again      taken by the first, still running: 409 idempotency_running
 *	again      done: the kept answer, with Idempotency-Replayed: true
 *	otherwise  same key, other path, query or body: 409 idempotency_mismatch
 *
 * Keys are a user's own, 1 to 255 visible ASCII characters, kept for a day.
 * An answer of 429 or 5xx, a stream that did not end well and a client that
 * left keep nothing: the next try runs.  Kept are status, content type, body
 * and the headers that belong to it.  An answer that holds a secret, or is
 * larger than IDEMPOTENCY_BODY_MAX (a stream: IDEMPOTENCY_STREAM_MAX), is not
 * kept: sent again, the request is not done again and answered 409
 * idempotency_not_kept.  While PostgreSQL is away such a request is a 503: its
 * key cannot be kept.
 *
 * An answer is kept before it is sent, except that what is sent as it comes (a
 * stream, and a model's answer of more than OUTLET_WRITE_MAX) is kept after its
 * last byte.  A worker that dies between the two leaves the key running, as
 * does one that dies before; it is free again after PROVIDER_TOTAL_TIMEOUT and
 * IDEMPOTENCY_GRACE_MS.
 */
#ifndef API_IDEMPOTENCY_H
#define API_IDEMPOTENCY_H

#include <stdbool.h>

#include "api/pool.h"
#include "http/request.h"

#define IDEMPOTENCY_KEY_MAX    255
#define IDEMPOTENCY_BODY_MAX   (8 * 1024 * 1024)
#define IDEMPOTENCY_STREAM_MAX (1024 * 1024)
#define IDEMPOTENCY_GRACE_MS   60000 /* from the end of a call to its answer */

/* Starts the threads that keep answers. */
enum err idempotency_start(const struct config *config,
    struct pool **out) MUST_CHECK;

/*
 * True: the handler is to run; when the request has a key, its answer will be
 * kept.  False: the client was answered.
 */
bool idempotency_passes_or_reply(struct http_request *req) MUST_CHECK;

#endif /* API_IDEMPOTENCY_H */
