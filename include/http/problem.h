/*
 * problem.h - error answers, in the shape that the path's clients read.
 *
 * Outside /v1: RFC 9457 application/problem+json with type, title, status,
 * detail, code, message, request_id and errors.  Under /v1: OpenAI's
 * {"error":{message,type,param,code}}; on /v1/messages Anthropic's
 * {"type":"error","error":{type,message}}.
 */
#ifndef HTTP_PROBLEM_H
#define HTTP_PROBLEM_H

#include "base/err.h"
#include "http/request.h"

/* HTTP status and stable slug ("not_found") of an err. */
int problem_status(enum err err);
const char *problem_slug(enum err err);

/*
 * Answers with err's status and slug and a detail for the client.  Nothing
 * internal goes in: what is for the log is in req->fail.  429 and 503 get a
 * Retry-After (1 s unless one was set).  Returns ANSWERED.
 */
enum handled problem_reply(struct http_request *req, enum err err,
    const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The same with an own code and, for /v1, param (either may be NULL). */
struct problem {
	enum err err;
	int status;       /* 0: that of err */
	const char *code; /* NULL: slug of err */
	const char *param;
	const char *type; /* of OpenAI's shape; NULL: from the status */
	int retry_after;  /* seconds; 0: 1 for 429 and 503, else none */
	const char *detail;
};
enum handled problem_send(struct http_request *req, const struct problem *p);

/* err with its standard detail, e.g. after db_query failed. */
enum handled problem_of(struct http_request *req, enum err err);

/*
 * Validation: collect every failing field, then answer once.
 *	struct problem_fields *bad = problem_fields(req); (never NULL)
 *	problem_field(bad, "title", "must have 1 to 100 characters");
 *	if (problem_fields_any(bad)) return problem_fields_reply(bad);
 */
struct problem_fields *problem_fields(struct http_request *req);
void problem_field(struct problem_fields *bad, const char *field,
    const char *fmt, ...) PRINTF_LIKE(3, 4);
bool problem_fields_any(const struct problem_fields *bad);
enum handled problem_fields_reply(struct problem_fields *bad); /* 400 */

#endif /* HTTP_PROBLEM_H */
