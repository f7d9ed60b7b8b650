/*
 * admit.h - the limits of minuted.limits, applied.
 *
 * Counters are in shared memory (limit/limit.h): exact over the workers of a
 * host, whatever their number, and only there: through another host, or as a
 * plain CGI program, each process counts for itself.
 *
 * Tokens a minute: a call takes its prompt, by estimate, and n answers of the
 * ceiling that it reserves of a budget, together at most the limit, and where the
 * request names no ceiling at most what is left; what it used in truth is settled
 * afterwards.
 *
 * Budget: a call reserves what it can cost (prompt by estimate, and n answers of
 * the ceiling that the request names, of two the larger) before the provider is
 * asked.  Where it names none, ADMIT_ANSWER_TOKENS or half of a smaller context
 * are reserved, and sent as the ceiling, so that no answer costs more.  It is
 * settled by what it did cost after its record is durable, before its client
 * hears of the end.  When its worker dies, what it has cost by estimate is spent
 * before the reservation is given back.  What was spent this month is read from the
 * tables at a subject's first call (which is a 503 while records of what was done
 * before still wait for PostgreSQL), counted in memory from then on, and compared
 * with the tables once a minute: so what was spent while there was no budget, or
 * through other hosts, counts too.
 */
#ifndef API_ADMIT_H
#define API_ADMIT_H

#include "base/err.h"
#include "http/request.h"
#include "limit/limit.h"
#include "llm/call.h"

/* Tokens that an answer is held to when the request names no ceiling. */
#define ADMIT_ANSWER_TOKENS 4096

/*
 * Takes one request from the windows of who asks, and writes the RateLimit
 * headers of the tightest.  Not OK: the client was answered 429 or 503.
 */
enum err admit_request_or_reply(struct http_request *req) MUST_CHECK;

/*
 * Reserves for every call (linked by next): calls at once, tokens a minute,
 * budget.  Of the first two the RateLimit headers are written, of the tighter,
 * where no limit of requests has written them.  Not OK: nothing is reserved and
 * the client was answered: 429, 503 when what was spent or what it costs cannot be
 * known, or 400 for a ceiling or n that is none, where tokens or USD are limited.
 */
enum err admit_calls_or_reply(struct http_request *req,
    struct call *calls) MUST_CHECK;

/* RateLimit-Limit, -Remaining and -Reset. */
void admit_headers(struct http_request *req, const struct limit_state *state);

/* Gives back what calls that were never started had reserved. */
void admit_undo(struct call *calls);

#endif /* API_ADMIT_H */
