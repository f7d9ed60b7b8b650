/*
 * secret.h - API keys and refresh tokens: random, shown once, stored as
 * SHA-256.
 *
 * An API key is mnt_<8 characters of public id>_<32 of secret><6 of CRC32C>,
 * base62: 190 bits of secret; a typing mistake is refused without a query.
 * A refresh token is mrt_ and base64url of 256 random bits.
 */
#ifndef AUTH_SECRET_H
#define AUTH_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define SECRET_KEY_SIZE      64 /* an API key and its NUL fit */
#define SECRET_PREFIX_SIZE   16 /* "mnt_AbCd1234" and its NUL */
#define SECRET_HASH_SIZE     65 /* SHA-256 in hex and its NUL */
#define SECRET_PASSWORD_SIZE 25
#define SECRET_TOKEN_SIZE    48 /* a refresh token and its NUL */

enum err secret_key_make(char key[SECRET_KEY_SIZE],
    char prefix[SECRET_PREFIX_SIZE]) MUST_CHECK;
bool secret_key_plausible(const char *key); /* shape and checksum */
/* Begins as a key does: meant as one, so never taken for an access token. */
bool secret_key_marked(const char *text);
/* The prefix of a whole, plausible key; false when it is none. */
bool secret_key_prefix(const char *key, char prefix[SECRET_PREFIX_SIZE]);
enum err secret_refresh_make(char token[SECRET_TOKEN_SIZE]) MUST_CHECK;
/* 24 characters of base62 for a user that brought no password. */
enum err secret_password_make(char out[SECRET_PASSWORD_SIZE]) MUST_CHECK;
/* Never fail, in want of memory neither. */
void secret_hash(const char *secret, char out[SECRET_HASH_SIZE]);
void secret_hash_bytes(const void *data, size_t len,
    char out[SECRET_HASH_SIZE]);
/* Constant time over equal lengths. */
bool secret_equal(const char *a, const char *b);

/* Of libcrypto, as it is loaded. */
const char *secret_library_version(void);

#endif /* AUTH_SECRET_H */
