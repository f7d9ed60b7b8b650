/*
 * throttle.h - how often a password may be guessed (S-06), and accounts be made.
 *
 * Counted over all workers, in windows of LOGIN_WINDOW: LOGIN_FAILURES_MAX
 * failures of an account from an address, ten times as many from an address
 * (an IPv6 /64 is one), and ten times as many of an account, in four windows.
 * Each try takes its place before the password is looked at, so that tries at
 * the same time are no way around, and gives it back when it was right.  Nobody
 * is shut out for good: windows end.
 *
 * The counters are in a table of their own: strangers who fill it hinder
 * logins, and nobody who is logged in or has a key.
 */
#ifndef API_THROTTLE_H
#define API_THROTTLE_H

#include "base/err.h"
#include "http/request.h"
#include "limit/limit.h"

#define THROTTLE_COUNTERS 3

struct throttle { /* one try; opaque to callers */
	char names[THROTTLE_COUNTERS][LIMIT_NAME_MAX + 1];
	struct limit_state taken[THROTTLE_COUNTERS];
};

/*
 * Before anything is hashed.  account is the id of a user, or the name that
 * nobody has: the answers must not differ.  Not OK: the client was answered
 * 429, or 503.
 */
enum err throttle_or_reply(struct http_request *req, const char *account,
    struct throttle *out) MUST_CHECK;

/* How the try ended: the password was right; wrong; or it was not looked at. */
void throttle_passed(struct http_request *req, const struct throttle *try);
void throttle_failed(struct http_request *req, const struct throttle *try);
void throttle_undo(struct http_request *req, const struct throttle *try);

/*
 * Before an account is made: REGISTRATIONS_MAX from an address in LOGIN_WINDOW.
 * One that finds the name taken counts too: it says who has an account.  Not
 * OK: the client was answered 429, or 503.
 */
enum err throttle_register_or_reply(struct http_request *req,
    struct limit_state *out) MUST_CHECK;
/* It failed, and said nothing of anybody. */
void throttle_register_undo(struct http_request *req,
    const struct limit_state *taken);

#endif /* API_THROTTLE_H */
