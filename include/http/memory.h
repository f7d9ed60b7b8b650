/*
 * memory.h - the transport of tests: a request from arguments, its answer into
 * a buffer.
 */
#ifndef HTTP_MEMORY_H
#define HTTP_MEMORY_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "http/request.h"

struct memory_answer {
	struct buf bytes; /* headers (with "Status: "), blank line, body */
	bool finished;    /* request_finish() was called; request is freed */
	bool stuck;       /* set by a test: writable() says no */
	bool gone;        /* set by a test: write() says ERR_GONE */
};

/* envp as in request_from_cgi(); body may be NULL.  answer is borrowed and
 * must outlive the request; memory_answer_fini() frees its bytes. */
enum err memory_request(const char *const *envp, const char *body, size_t len,
    struct memory_answer *answer, struct http_request **out) MUST_CHECK;
void memory_answer_fini(struct memory_answer *answer);

#endif /* HTTP_MEMORY_H */
