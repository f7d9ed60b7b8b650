/*
 * account_form.h - what clients send about accounts, read and checked.
 *
 * Every fault goes to bad; text is borrowed from the request's arena.
 */
#ifndef API_ACCOUNT_FORM_H
#define API_ACCOUNT_FORM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "http/problem.h"
#include "http/request.h"
#include "json/read.h"

/* A password as it came: never trimmed or cut, never logged. */
struct account_secret {
	const char *text; /* NULL: not sent */
	size_t len;
};

struct account_new {
	const char *email; /* lower case; NULL: none */
	const char *username;
	bool username_made; /* from the e-mail: may be changed to be unique */
	struct account_secret password;
	const char *first_name, *last_name, *name; /* NULL: not sent */
	const char *organization_id;
};

/* What a family needs; the other one is optional. */
enum account_needs { ACCOUNT_EMAIL = 1 << 0, ACCOUNT_USERNAME = 1 << 1 };

/*
 * email, username, password, firstName, lastName, name or fullName,
 * organizationId.  Without a username it is the e-mail's part before the @; one
 * with an @ has to be the e-mail, so that nobody can be found by both.
 */
void account_form_new(struct http_request *req, struct problem_fields *bad,
    const struct jsonr *body, unsigned needs, struct account_new *out);

/* A new password in member name: its length, and that it is not a usual one
 * nor the user's own name (either may be NULL). */
void account_form_password(struct http_request *req, const struct jsonr *body,
    const char *name, const struct account_new *of, struct account_secret *out);

/* Trimmed, lower case, checked; *out NULL when not sent, or empty.  False when
 * that was a fault. */
bool account_form_email(struct http_request *req, struct problem_fields *bad,
    const struct jsonr *body, const char **out);
/* Trimmed, checked; *out NULL when not sent.  False when that was a fault. */
bool account_form_username(struct http_request *req, struct problem_fields *bad,
    const struct jsonr *body, const char **out);

/* The two agree: no @, or the same as the e-mail. */
bool account_form_agree(const char *username, const char *email);

/* One @, something before it, a dot within the domain, printable ASCII, at most
 * 320 bytes. */
bool account_form_is_email(const char *text);

/* firstName and lastName; NULL when not sent. */
void account_form_names(struct problem_fields *bad, const struct jsonr *body,
    const char **first, const char **last);

/*
 * Who logs in, an e-mail or a username, and the password; name is what the
 * family calls the first, in the fault of a client that sends neither.  When
 * not OK the client was answered.
 */
enum err account_form_login_or_reply(struct http_request *req, const char *name,
    const char **login, struct account_secret *password) MUST_CHECK;

/* The same of refreshToken, refresh_token or refresh. */
enum err account_form_refresh_or_reply(struct http_request *req,
    const char *name, const char **refresh) MUST_CHECK;

/* A password to be checked, of any length. */
void account_form_secret(struct problem_fields *bad, const struct jsonr *body,
    const char *name, struct account_secret *out);

#endif /* API_ACCOUNT_FORM_H */
