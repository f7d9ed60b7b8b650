/*
 * password.c - argon2id; the only file that knows libargon2.
 */
#include "auth/password.h"

#include <argon2.h>
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "auth/common.h"
#include "base/rand.h"

#define MEMORY_KIB 19456
#define PASSES     2
#define LANES      1
#define SALT_LEN   16
#define TAG_LEN    32

/* what a stored hash may ask for: its parameters decide what is allocated */
#define MEMORY_KIB_MAX (256 * 1024)
#define PASSES_MAX     10
#define LANES_MAX      4

/* Of a password that nobody knows, with the parameters above. */
static const char dummy[] = "$argon2id$v=19$m=19456,t=2,p=1"
			    "$bWludXRlZC5kdW1teS5zYQ"
			    "$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

enum err
password_hash(const char *password, size_t len, char out[PASSWORD_HASH_SIZE])
{
	uint8_t salt[SALT_LEN];
	enum err err;

	if (len > PASSWORD_MAX)
		return ERR_INPUT;
	err = rand_bytes(salt, sizeof(salt));
	if (err != OK)
		return err;
	if (argon2id_hash_encoded(PASSES, MEMORY_KIB, LANES, password, len,
		salt, sizeof(salt), TAG_LEN, out,
		PASSWORD_HASH_SIZE) != ARGON2_OK) {
		out[0] = '\0';
		return ERR_MEMORY;
	}
	return OK;
}

/* Reads "<mark><number>" at *at; false unless it is from 1 to max. */
static bool
take_number(const char **at, const char *mark, long max)
{
	size_t mark_len = strlen(mark);
	char *end;
	long value;

	if (strncmp(*at, mark, mark_len) != 0)
		return false;
	*at += mark_len;
	if (**at < '0' || **at > '9')
		return false;
	value = strtol(*at, &end, 10);
	*at = end;
	return value >= 1 && value <= max;
}

static bool
is_affordable(const char *hash)
{
	const char *at = hash;

	return strnlen(hash, PASSWORD_HASH_SIZE) < PASSWORD_HASH_SIZE &&
	       take_number(&at, "$argon2id$v=", 19) &&
	       take_number(&at, "$m=", MEMORY_KIB_MAX) &&
	       take_number(&at, ",t=", PASSES_MAX) &&
	       take_number(&at, ",p=", LANES_MAX) && *at == '$';
}

enum err
password_verify(const char *password, size_t len, const char *hash)
{
	bool real = hash != NULL && len <= PASSWORD_MAX && is_affordable(hash);
	int result;

	if (len > PASSWORD_MAX)
		len = PASSWORD_MAX;
	result = argon2id_verify(real ? hash : dummy, password, len);
	if (result == ARGON2_MEMORY_ALLOCATION_ERROR)
		return ERR_MEMORY;
	return real && result == ARGON2_OK ? OK : ERR_AUTH;
}

static char
lower(char c)
{
	return (char)tolower((unsigned char)c);
}

/*
 * password is name (of name_len bytes, at least 4), or name with a few
 * characters after it that are no letters.
 */
static bool
is_made_of(const char *password, size_t len, const char *name, size_t name_len)
{
	if (name_len < 4 || len < name_len || len - name_len > 5)
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = lower(password[i]);

		if (i < name_len ? c != lower(name[i]) : c >= 'a' && c <= 'z')
			return false;
	}
	return true;
}

const char *
password_refuse(const char *password, size_t len, size_t min, const char *email,
    const char *username)
{
	if (len < min)
		return "is too short";
	if (len > PASSWORD_MAX)
		return "must have at most 1024 bytes";
	if (common_password(password, len))
		return "is one of the passwords that are tried first";
	if (email != NULL &&
	    (is_made_of(password, len, email, strlen(email)) ||
		is_made_of(password, len, email, strcspn(email, "@"))))
		return "must not be the e-mail address";
	if (username != NULL &&
	    is_made_of(password, len, username, strlen(username)))
		return "must not be the user name";
	return NULL;
}

const char *
password_library_version(void)
{
	return ARGON2_VERSION_NUMBER == ARGON2_VERSION_13 ? "1.3 (algorithm)"
							  : "1.0 (algorithm)";
}
