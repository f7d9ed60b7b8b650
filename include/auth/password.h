/*
 * password.h - argon2id (RFC 9106) with OWASP's parameters: 19 MiB, t=2, p=1.
 *
 * Slow on purpose (36 ms and more): only called by the threads of the password
 * pool, never by a request thread.
 */
#ifndef AUTH_PASSWORD_H
#define AUTH_PASSWORD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define PASSWORD_HASH_SIZE 128
#define PASSWORD_MAX       1024 /* bytes */

/* The PHC string of a new hash.  ERR_MEMORY or ERR_SYSTEM: deny. */
enum err password_hash(const char *password, size_t len,
    char out[PASSWORD_HASH_SIZE]) MUST_CHECK;

/*
 * OK when password is that of hash; ERR_AUTH when not, or when hash asks for
 * more than m=256 MiB, t=10, p=4.  hash NULL hashes against a dummy and is
 * ERR_AUTH: an unknown user costs what a wrong password costs.
 */
enum err password_verify(const char *password, size_t len,
    const char *hash) MUST_CHECK;

/*
 * NULL when acceptable, else what is wrong, for the client: length in bytes
 * from min to PASSWORD_MAX, not one of the common passwords, not the user's
 * e-mail or name (either may be NULL).
 */
const char *password_refuse(const char *password, size_t len, size_t min,
    const char *email, const char *username);

/* Of libargon2, which has no number of its own: that of the algorithm. */
const char *password_library_version(void);

#endif /* AUTH_PASSWORD_H */
