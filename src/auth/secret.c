/*
 * secret.c - API keys and refresh tokens.
 *
 * libcrypto's SHA256() allocates, and leaves the digest as it is when it
 * cannot.  The functions that it calls old do neither.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "auth/secret.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/codec.h"
#include "base/rand.h"

#define KEY_MARK     "mnt_"
#define KEY_MARK_LEN 4
#define PUBLIC_LEN   8
#define PREFIX_LEN   (KEY_MARK_LEN + PUBLIC_LEN)
#define HIDDEN_LEN   32
#define SUM_LEN      6
#define SUMMED_LEN   (PREFIX_LEN + 1 + HIDDEN_LEN) /* what the sum is over */
#define KEY_LEN      (SUMMED_LEN + SUM_LEN)

#define TOKEN_MARK  "mrt_"
#define TOKEN_BYTES 32

/* digits uniform characters of base62. */
static enum err
random_base62(char *out, size_t digits)
{
	uint8_t pool[64];
	size_t made = 0;
	enum err err;

	while (made < digits) {
		err = rand_bytes(pool, sizeof(pool));
		if (err != OK)
			return err;
		for (size_t i = 0; i < sizeof(pool) && made < digits; i++) {
			/* 248 is 4 * 62: the rest would favour the first */
			if (pool[i] < 248)
				codec_base62(pool[i] % 62, out + made++, 1);
		}
	}
	explicit_bzero(pool, sizeof(pool));
	return OK;
}

static void
add_sum(const char *summed, char out[SUM_LEN])
{
	codec_base62(codec_crc32c(0, summed, SUMMED_LEN), out, SUM_LEN);
}

enum err
secret_key_make(char key[SECRET_KEY_SIZE], char prefix[SECRET_PREFIX_SIZE])
{
	enum err err;

	memset(key, 0, SECRET_KEY_SIZE);
	memset(prefix, 0, SECRET_PREFIX_SIZE);
	for (size_t i = 0; i < KEY_MARK_LEN; i++)
		key[i] = KEY_MARK[i];
	err = random_base62(key + KEY_MARK_LEN, PUBLIC_LEN);
	if (err != OK)
		return err;
	key[PREFIX_LEN] = '_';
	err = random_base62(key + PREFIX_LEN + 1, HIDDEN_LEN);
	if (err != OK) {
		memset(key, 0, SECRET_KEY_SIZE);
		return err;
	}
	add_sum(key, key + SUMMED_LEN);
	memcpy(prefix, key, PREFIX_LEN);
	return OK;
}

static bool
is_base62(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9')))
			return false;
	}
	return true;
}

bool
secret_key_plausible(const char *key)
{
	char sum[SUM_LEN];

	if (strnlen(key, KEY_LEN + 1) != KEY_LEN ||
	    memcmp(key, KEY_MARK, KEY_MARK_LEN) != 0 || key[PREFIX_LEN] != '_')
		return false;
	if (!is_base62(key + KEY_MARK_LEN, PUBLIC_LEN) ||
	    !is_base62(key + PREFIX_LEN + 1, HIDDEN_LEN + SUM_LEN))
		return false;
	add_sum(key, sum);
	return CRYPTO_memcmp(sum, key + SUMMED_LEN, SUM_LEN) == 0;
}

bool
secret_key_marked(const char *text)
{
	return strncmp(text, KEY_MARK, KEY_MARK_LEN) == 0;
}

bool
secret_key_prefix(const char *key, char prefix[SECRET_PREFIX_SIZE])
{
	if (!secret_key_plausible(key))
		return false;
	memset(prefix, 0, SECRET_PREFIX_SIZE);
	memcpy(prefix, key, PREFIX_LEN);
	return true;
}

enum err
secret_refresh_make(char token[SECRET_TOKEN_SIZE])
{
	uint8_t bytes[TOKEN_BYTES];
	struct buf text;
	enum err err;

	memset(token, 0, SECRET_TOKEN_SIZE);
	buf_init(&text, SECRET_TOKEN_SIZE - 1);
	err = rand_bytes(bytes, sizeof(bytes));
	if (err != OK)
		goto out;
	buf_adds(&text, TOKEN_MARK);
	codec_base64url(bytes, sizeof(bytes), &text);
	if (!buf_ok(&text)) {
		err = ERR_MEMORY;
		goto out;
	}
	memcpy(token, text.data, text.len);
out:
	if (text.data != NULL)
		explicit_bzero(text.data, text.len);
	buf_fini(&text);
	explicit_bzero(bytes, sizeof(bytes));
	return err;
}

enum err
secret_password_make(char out[SECRET_PASSWORD_SIZE])
{
	memset(out, 0, SECRET_PASSWORD_SIZE);
	return random_base62(out, SECRET_PASSWORD_SIZE - 1);
}

void
secret_hash_bytes(const void *data, size_t len, char out[SECRET_HASH_SIZE])
{
	unsigned char digest[SHA256_DIGEST_LENGTH];
	SHA256_CTX state;

	(void)SHA256_Init(&state);
	(void)SHA256_Update(&state, data, len);
	(void)SHA256_Final(digest, &state);
	codec_hex(digest, sizeof(digest), out);
}

void
secret_hash(const char *secret, char out[SECRET_HASH_SIZE])
{
	secret_hash_bytes(secret, strlen(secret), out);
}

bool
secret_equal(const char *a, const char *b)
{
	size_t len = strlen(a);

	return len == strlen(b) && CRYPTO_memcmp(a, b, len) == 0;
}

const char *
secret_library_version(void)
{
	return OpenSSL_version(OPENSSL_VERSION_STRING);
}
