/*
 * account_login.h - logins, shared by the families that have them.
 *
 * A login is an access token (token.h) and a family of refresh tokens,
 * of which one is good at a time; the family ends REFRESH_EXPIRES_IN after the
 * login, however often it was refreshed.  Using up a refresh token is one
 * UPDATE, so of any number of refreshes at once one wins.  A used token that is
 * shown again was copied: its whole family is revoked (RFC 9700 section
 * 4.14.2).  Not so when the request that shows it came within
 * ACCOUNT_RACE_MS of the use: that is a client with two requests on their way,
 * it gets a 401 and the winner's tokens go on.
 *
 * Functions named _or_reply have answered the request when they are not OK.
 * Text in the structs is in the request's arena.
 */
#ifndef API_ACCOUNT_LOGIN_H
#define API_ACCOUNT_LOGIN_H

#include <stddef.h>
#include <stdint.h>

#include "api/account_store.h"
#include "base/err.h"
#include "http/request.h"

#define ACCOUNT_RACE_MS 1000

struct account_tokens {
	const char *access, *refresh;
	int64_t expires_s; /* life of the access token */
};

/* A new login, in the open transaction.  ERR_AUTH when the account is no longer
 * at account->version, or disabled. */
enum err account_issue(struct http_request *req, const struct account *account,
    struct account_tokens *out) MUST_CHECK;

/*
 * login is an e-mail or a username.  Whatever the cause of a failure, the
 * answer is the same 401 and takes as long.  Only in a thread that may hash.
 */
enum err account_login_or_reply(struct http_request *req, const char *login,
    const struct account_secret *password, struct account *out,
    struct account_tokens *tokens) MUST_CHECK;

enum err account_refresh_or_reply(struct http_request *req, const char *refresh,
    struct account_tokens *tokens) MUST_CHECK;

/* Revokes the family of the refresh token; an unknown one is fine. */
enum err account_logout_or_reply(struct http_request *req,
    const char *refresh) MUST_CHECK;

#endif /* API_ACCOUNT_LOGIN_H */
