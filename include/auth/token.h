/*
 * token.h - access tokens: JWT (RFC 7519), HS256 only, by libjwt behind the
 * checks that it lacks (RFC 8725): our own header byte for byte, length, shape
 * and signature before the library sees it; then exp, nbf, iat, iss, aud, typ,
 * jti.
 *
 * libjwt takes no header but typ "JWT", so the kind of token (RFC 9068's
 * "at+jwt") is the claim typ.  Safe on a thread with a stack of 256 KiB.
 */
#ifndef AUTH_TOKEN_H
#define AUTH_TOKEN_H

#include <stdint.h>

#include "base/err.h"
#include "base/uuid.h"

#define TOKEN_MAX        4096
#define TOKEN_SECRET_MIN 32
#define TOKEN_LEEWAY_S   5 /* clocks of two hosts: iat and nbf, never exp */

struct token_keys {
	const char *secret;     /* signs and verifies */
	const char *secret_old; /* verifies only; NULL or "" none */
	int64_t life_ms;
};

struct token_claims {
	struct uuid user_id;
	struct uuid family_id; /* the login that it came from; zero: none */
	int64_t version;       /* users.token_version when it was issued */
	int64_t issued_s;
	int64_t expires_s;
};

/*
 * family_id is the refresh family of the login, NULL for none.  *out is the
 * caller's, free(3).  Verified once before it is returned.
 */
enum err token_issue(const struct token_keys *keys, const struct uuid *user_id,
    const struct uuid *family_id, int64_t version, char **out) MUST_CHECK;

/* ERR_AUTH for anything but a valid, current token of ours; ERR_MEMORY when
 * that cannot be told. */
enum err token_verify(const struct token_keys *keys, const char *token,
    struct token_claims *out) MUST_CHECK;

/* Seconds that a token made now is good for; what clients get to see. */
int64_t token_life_s(const struct token_keys *keys);

/* The interface of libjwt that this is written for: it cannot be asked. */
const char *token_library_version(void);

#endif /* AUTH_TOKEN_H */
