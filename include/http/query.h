/*
 * query.h - query parameters with ranges, and the opaque list cursor.
 */
#ifndef HTTP_QUERY_H
#define HTTP_QUERY_H

#include <stdint.h>

#include "base/err.h"
#include "http/problem.h"
#include "http/request.h"

/* Decimal digits only, within [min,max]; absent keeps *out; else a fault. */
void query_int(struct http_request *req, struct problem_fields *bad,
    const char *name, int64_t min, int64_t max, int64_t *out);
/* One of words (NULL-terminated); absent keeps *out. */
void query_word(struct http_request *req, struct problem_fields *bad,
    const char *name, const char *const *words, const char **out);
/* At most max characters; absent keeps *out. */
void query_string(struct http_request *req, struct problem_fields *bad,
    const char *name, int64_t max, const char **out);
/* RFC 3339 time; *out is canonical text in the arena; absent keeps it. */
void query_time(struct http_request *req, struct problem_fields *bad,
    const char *name, const char **out);

/*
 * Cursors: base64url of text (an id, or sort value and id), opaque.  The query
 * that reads it is bound to the caller, so a forged cursor shows nothing.
 */
const char *query_cursor_make(struct http_request *req, const char *text);
/* Absent keeps *out (NULL); malformed is a fault.  *out in the arena. */
void query_cursor(struct http_request *req, struct problem_fields *bad,
    const char **out);
/* Link: <path?same query, cursor replaced>; rel="next".  Left out when the
 * query is too long for a header. */
void query_link_next(struct http_request *req, const char *cursor_text);

/* text with % _ \ escaped for LIKE ... ESCAPE '\', between two %, in arena. */
const char *query_like(struct http_request *req, const char *text);

#endif /* HTTP_QUERY_H */
