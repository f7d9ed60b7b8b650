/*
 * token.h - access tokens: JWT (RFC 7519), HS256 only, by libjwt behind the
 * checks that it lacks (RFC 8725): our own header byte for byte, exp, nbf, iat,
 * iss, aud, typ, jti, length and shape before the library sees it.
 */
#ifndef AUTH_TOKEN_H
#define AUTH_TOKEN_H

#include <stdint.h>

#include "base/err.h"
#include "base/uuid.h"

#define TOKEN_MAX 4096
#define TOKEN_SECRET_MIN 32

struct token_keys {
	const char *secret;     /* signs and verifies */
	const char *secret_old; /* verifies only; NULL or "" none */
	int64_t life_ms;
};

struct token_claims {
	struct uuid user_id;
	int64_t version; /* users.token_version when it was issued */
	int64_t issued_s;
	int64_t expires_s;
};

/* *out is the caller's, free(3).  Verified once before it is returned. */
enum err token_issue(const struct token_keys *keys, const struct uuid *user_id,
    int64_t version, char **out) MUST_CHECK;

/* ERR_AUTH for anything but a valid, current token of ours. */
enum err token_verify(const struct token_keys *keys, const char *token,
    struct token_claims *out) MUST_CHECK;

#endif /* AUTH_TOKEN_H */
