/*
 * audit.h - security events: a row of minuted.audit_log and a line in the log.
 *
 * Never holds a secret, nor what somebody typed as a name.
 */
#ifndef API_AUDIT_H
#define API_AUDIT_H

#include "base/err.h"
#include "http/request.h"

struct audit {
	const char *action;  /* "login", "login_failed", "key_create", ... */
	const char *user_id; /* text; NULL: not known who */
	const char *object;  /* id of what it is about, or NULL */
};

/* The row, in the transaction that is open on req->db, if any. */
enum err audit_row(struct http_request *req,
    const struct audit *event) MUST_CHECK;

/* The line; after the commit. */
void audit_line(const struct http_request *req, const struct audit *event);

/* Both, for what changed nothing; that the row is missing is only logged. */
void audit_note(struct http_request *req, const struct audit *event);

#endif /* API_AUDIT_H */
