/*
 * envp.h - a request from CGI variables (RFC 3875 section 4.1).
 */
#ifndef HTTP_ENVP_H
#define HTTP_ENVP_H

#include "base/err.h"
#include "http/request.h"

/* The work of request_from_cgi(), which see.  Everything is copied. */
enum err envp_read(struct http_request *req,
    const char *const *envp) MUST_CHECK;

/* The value of name; NULL when absent, the first when repeated; borrowed. */
const char *envp_get(const char *const *envp, const char *name);

#endif /* HTTP_ENVP_H */
