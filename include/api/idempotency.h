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
 * left keep nothing: the key is free, and the next try runs.  Kept are status,
 * content type, body and the headers that belong to it.  An answer that holds a
 * secret, or is larger than IDEMPOTENCY_BODY_MAX (a stream:
 * IDEMPOTENCY_STREAM_MAX), is not kept: sent again, the request is not done
 * again and answered 409 idempotency_not_kept.  While PostgreSQL is away such a
 * request is a 503: its key cannot be kept.
 *
 * What an attempt did before its worker died, or before its client was told that
 * it failed, is not done again by the next one with the same request:
 *
 *	ROUTE_ATOMIC   done and kept in one transaction: all of it, or nothing
 *	records        their ids are made from the first attempt (the seed) and
 *	               the request, and what is there already is left
 *	a model call   has the attempt's id: if it is completed, the next try is
 *	               409 idempotency_not_kept, with its X-Call-Id; while that
 *	               is not known, 409 idempotency_running, but no longer
 *	               than a key is anybody's; otherwise the provider is asked
 *	               again
 *	a question     of an attempt without an answer makes way for the next
 *
 * An answer is kept before it is sent, except that what is sent as it comes (a
 * stream, and a model's answer of more than OUTLET_WRITE_MAX) is kept after its
 * last byte, and that PostgreSQL is waited for 2 s: then the answer is sent and
 * waits (later.h).  Keys of a worker that dies are freed by who sweeps its
 * calls; one that nobody frees is free after PROVIDER_TOTAL_TIMEOUT and
 * IDEMPOTENCY_GRACE_MS.
 */
#ifndef API_IDEMPOTENCY_H
#define API_IDEMPOTENCY_H

#include <stdbool.h>

#include "base/uuid.h"
#include "http/request.h"

#define IDEMPOTENCY_KEY_MAX    255
#define IDEMPOTENCY_BODY_MAX   (8 * 1024 * 1024)
#define IDEMPOTENCY_STREAM_MAX (1024 * 1024)
#define IDEMPOTENCY_GRACE_MS   60000 /* from the end of a call to its answer */

/*
 * True: the handler is to run; when the request has a key, its answer will be
 * kept.  False: the client was answered.
 */
bool idempotency_passes_or_reply(struct http_request *req) MUST_CHECK;

/* The handler has answered: of a route that is ROUTE_ATOMIC, what it did and the
 * answer are committed, or the answer is another one. */
void idempotency_settle(struct http_request *req);

/* The next id of what the request makes: every attempt at it makes the same ones
 * in the same order.  Without a key a new one. */
enum err idempotency_id(struct http_request *req, struct uuid *out) MUST_CHECK;

/* A new id, which has the same end in every attempt. */
enum err idempotency_mark(const struct http_request *req,
    struct uuid *out) MUST_CHECK;
/* True: attempts before this one may have made such ids, of which this is the
 * lowest. */
bool idempotency_marked(const struct http_request *req, struct uuid *out);

#endif /* API_IDEMPOTENCY_H */
