/*
 * hmac.c - HMAC-SHA256 of libcrypto's SHA-256.
 *
 * libcrypto's HMAC() allocates, so in want of memory there is none, and what
 * forgets to ask (libjwt) goes on with what lay on the stack.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "auth/hmac.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>

#define INNER 0x36
#define OUTER 0x5c

static void
digest(const uint8_t block[SHA256_CBLOCK], const void *text, size_t len,
    uint8_t out[HMAC_SIZE])
{
	SHA256_CTX state;

	(void)SHA256_Init(&state);
	(void)SHA256_Update(&state, block, SHA256_CBLOCK);
	(void)SHA256_Update(&state, text, len);
	(void)SHA256_Final(out, &state);
	explicit_bzero(&state, sizeof(state));
}

/* The key as one block; a longer one is its digest. */
static void
fill_block(const char *key, uint8_t block[SHA256_CBLOCK])
{
	size_t len = strlen(key);
	SHA256_CTX state;

	memset(block, 0, SHA256_CBLOCK);
	if (len <= SHA256_CBLOCK) {
		for (size_t i = 0; i < len; i++)
			block[i] = (uint8_t)key[i];
		return;
	}
	(void)SHA256_Init(&state);
	(void)SHA256_Update(&state, key, len);
	(void)SHA256_Final(block, &state);
	explicit_bzero(&state, sizeof(state));
}

void
hmac_make(const char *key, const void *text, size_t len, uint8_t mac[HMAC_SIZE])
{
	uint8_t block[SHA256_CBLOCK];
	uint8_t inner[HMAC_SIZE];

	fill_block(key, block);
	for (size_t i = 0; i < sizeof(block); i++)
		block[i] ^= INNER;
	digest(block, text, len, inner);
	for (size_t i = 0; i < sizeof(block); i++)
		block[i] ^= INNER ^ OUTER;
	digest(block, inner, sizeof(inner), mac);
	explicit_bzero(block, sizeof(block));
	explicit_bzero(inner, sizeof(inner));
}

bool
hmac_is(const char *key, const void *text, size_t len,
    const uint8_t mac[HMAC_SIZE])
{
	uint8_t right[HMAC_SIZE];
	bool equal;

	hmac_make(key, text, len, right);
	equal = CRYPTO_memcmp(right, mac, HMAC_SIZE) == 0;
	explicit_bzero(right, sizeof(right));
	return equal;
}
