/*
 * ticket.h - what a request with an Idempotency-Key has taken, and how it ends:
 * its answer is kept, or the key is free again.
 */
#ifndef API_TICKET_H
#define API_TICKET_H

#include <stdbool.h>

#include "api/pool.h"
#include "auth/secret.h"
#include "base/uuid.h"
#include "db/db.h"
#include "http/request.h"

struct ticket {
	char key_hash[SECRET_HASH_SIZE];
	char request_hash[SECRET_HASH_SIZE];
	struct uuid attempt;
	char attempt_text[UUID_TEXT_SIZE];
	struct uuid seed;      /* the first attempt at this request */
	bool again;            /* it is not this one */
	uint64_t made;         /* ids so far */
	struct http_copy copy; /* of a streamed answer */
	int64_t until_us;
};

/* Starts the threads that keep answers. */
enum err ticket_start(const struct config *config,
    struct pool **out) MUST_CHECK;

/* What request_finish() is to do with the answer. */
void ticket_keep_at_end(struct http_request *req, struct ticket *ticket);

/*
 * The answer is there and req->db is in the transaction (db_wrap()) in which
 * the request was done: keeps it, and commits both.  If that fails, nothing is
 * done and the answer is another one.
 */
void ticket_commit(struct http_request *req);

#endif /* API_TICKET_H */
