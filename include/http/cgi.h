/*
 * cgi.h - the plain CGI transport (RFC 3875): one request from environment and
 * stdin, its answer on stdout.
 */
#ifndef HTTP_CGI_H
#define HTTP_CGI_H

#include "base/err.h"
#include "http/request.h"

/* Reads it; *out is answered on stdout by request_finish(). */
enum err cgi_read(const char *const *envp, size_t body_max,
    struct http_request **out) MUST_CHECK;

#endif /* HTTP_CGI_H */
