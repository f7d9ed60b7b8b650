/*
 * body.h - reading a JSON object body, field by field, all faults at once.
 *
 * Each body_* reads member name of the object.  Absent and, but for body_any(),
 * null count as not sent: with REQUIRED that is a fault, otherwise *out keeps
 * its value.  Faults go to bad; reading goes on.  Strings are borrowed from the request's arena.
 */
#ifndef HTTP_BODY_H
#define HTTP_BODY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "http/problem.h"
#include "http/request.h"
#include "json/read.h"

enum body_need { OPTIONAL = 0, REQUIRED };

/*
 * Checks Content-Type (application/json or +json; 415), parses and wants an
 * object.  On failure the answer is already made and the return is not OK; so:
 *	if (body_object_or_reply(req, &body) != OK) return ANSWERED;
 */
enum err body_object_or_reply(struct http_request *req,
    struct jsonr **body) MUST_CHECK;

/* The same within other limits than jsonr_limits, for batches of records. */
enum err body_object_within_or_reply(struct http_request *req,
    const struct gate_limits *limits, struct jsonr **body) MUST_CHECK;

/* A string of min to max characters (code points, not bytes). */
void body_string(struct problem_fields *bad, const struct jsonr *object,
    const char *name, enum body_need need, int64_t min, int64_t max,
    const char **out);
/* One of words, a NULL-terminated list. */
void body_word(struct problem_fields *bad, const struct jsonr *object,
    const char *name, enum body_need need, const char *const *words,
    const char **out);
void body_int(struct problem_fields *bad, const struct jsonr *object,
    const char *name, enum body_need need, int64_t min, int64_t max,
    int64_t *out);
void body_bool(struct problem_fields *bad, const struct jsonr *object,
    const char *name, enum body_need need, bool *out);
/* Any JSON, null too, kept as its own text (NUL-terminated copy), at most max
 * bytes. */
void body_any(struct problem_fields *bad, const struct jsonr *object,
    const char *name, int64_t max, const char **out);

#endif /* HTTP_BODY_H */
