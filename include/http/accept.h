/*
 * accept.h - which of several media types a client would rather have.
 */
#ifndef HTTP_ACCEPT_H
#define HTTP_ACCEPT_H

#include <stddef.h>

#include "http/request.h"

/*
 * The index in types, a NULL-terminated list, of what Accept prefers (RFC 9110
 * section 12.5.1): the highest quality; of equals one that is named before one
 * that a wildcard matches, of those that are named the one that comes first in
 * Accept.  0, so the first of types, when that leaves a choice, without Accept
 * and when it takes none of them.
 */
size_t accept_best(const struct http_request *req, const char *const *types);

#endif /* HTTP_ACCEPT_H */
