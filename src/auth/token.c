/*
 * token.c - access tokens; the only file that knows libjwt.
 *
 * libjwt 1.10.2 parses before it verifies, takes any HMAC, checks no claim, and
 * in want of memory compares a signature that nobody made, follows null
 * pointers where it writes a token, and can return success for a forged one.
 * So the signature is ours, made and verified without memory: libjwt reads no
 * text that we did not sign, and what it reads is believed only where every
 * claim is the expected one.  It keeps the claims, and writes them as JSON.
 */
#include "auth/token.h"

#include <errno.h>
#include <jwt.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "auth/hmac.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/codec.h"

/* {"alg":"HS256","typ":"JWT"} as libjwt writes it, and the dot */
#define HEADER        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
#define HEADER_LEN    (sizeof(HEADER) - 1)
#define SIGNATURE_LEN 43 /* base64url of 32 bytes */

#define ISSUER   "minuted"
#define AUDIENCE "minuted"
#define KIND     "at+jwt"

static int64_t
now_s(void)
{
	return clock_wall_us() / 1000000;
}

int64_t
token_life_s(const struct token_keys *keys)
{
	return keys->life_ms / 1000 + (keys->life_ms % 1000 != 0);
}

static bool
is_secret(const char *secret)
{
	return secret != NULL && strlen(secret) >= TOKEN_SECRET_MIN;
}

static bool
is_base64url(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') || c == '-' || c == '_'))
			return false;
	}
	return len > 0;
}

/* Ours by the look of it: length, header, two dots, alphabet. */
static bool
is_shaped(const char *token)
{
	size_t len = strnlen(token, TOKEN_MAX + 1);
	const char *payload = token + HEADER_LEN;
	const char *dot;

	if (len > TOKEN_MAX || len <= HEADER_LEN ||
	    memcmp(token, HEADER, HEADER_LEN) != 0)
		return false;
	dot = strchr(payload, '.');
	if (dot == NULL || !is_base64url(payload, (size_t)(dot - payload)))
		return false;
	return strlen(dot + 1) == SIGNATURE_LEN &&
	       is_base64url(dot + 1, SIGNATURE_LEN);
}

static bool
text_is(jwt_t *jwt, const char *name, const char *expected)
{
	const char *text = jwt_get_grant(jwt, name);

	return text != NULL && strcmp(text, expected) == 0;
}

/* A positive integer claim; 0 when absent or of another type. */
static int64_t
get_int(jwt_t *jwt, const char *name)
{
	long value = jwt_get_grant_int(jwt, name);

	return value > 0 ? value : 0;
}

static enum err
get_uuid(jwt_t *jwt, const char *name, struct uuid *out)
{
	const char *text = jwt_get_grant(jwt, name);

	if (text == NULL || uuid_parse(text, out) != OK || uuid_is_zero(out))
		return ERR_AUTH;
	return OK;
}

/* The login's family may be absent, but not be something else. */
static enum err
get_family(jwt_t *jwt, struct uuid *out)
{
	errno = 0;
	if (jwt_get_grant(jwt, "fam") == NULL && errno == ENOENT)
		return OK;
	return get_uuid(jwt, "fam", out);
}

static enum err
check_times(const struct token_keys *keys, jwt_t *jwt, struct token_claims *out)
{
	int64_t now = now_s();
	int64_t not_before = get_int(jwt, "nbf");

	out->issued_s = get_int(jwt, "iat");
	out->expires_s = get_int(jwt, "exp");
	if (out->issued_s == 0 || out->expires_s == 0 || not_before == 0)
		return ERR_AUTH;
	if (out->issued_s > now + TOKEN_LEEWAY_S ||
	    not_before > now + TOKEN_LEEWAY_S || out->expires_s <= now)
		return ERR_AUTH;
	/* a life longer than the setting's is nothing that we issue (now) */
	if (out->expires_s <= out->issued_s ||
	    out->expires_s - out->issued_s > token_life_s(keys))
		return ERR_AUTH;
	return OK;
}

static enum err
check_claims(const struct token_keys *keys, jwt_t *jwt,
    struct token_claims *out)
{
	struct uuid token_id;

	if (!text_is(jwt, "iss", ISSUER) || !text_is(jwt, "aud", AUDIENCE) ||
	    !text_is(jwt, "typ", KIND))
		return ERR_AUTH;
	if (get_uuid(jwt, "jti", &token_id) != OK ||
	    get_uuid(jwt, "sub", &out->user_id) != OK ||
	    get_family(jwt, &out->family_id) != OK)
		return ERR_AUTH;
	out->version = get_int(jwt, "ver");
	if (out->version == 0)
		return ERR_AUTH;
	return check_times(keys, jwt, out);
}

/* Of a token that is_shaped(). */
static bool
is_signed(const char *secret, const char *token)
{
	const char *sign = strrchr(token, '.') + 1;
	uint8_t mac[HMAC_SIZE];
	size_t len;

	if (codec_base64url_decode(sign, SIGNATURE_LEN, mac, sizeof(mac),
		&len) != OK ||
	    len != sizeof(mac))
		return false;
	return hmac_is(secret, token, (size_t)(sign - 1 - token), mac);
}

/* The claims of a token that is_signed(), so without a key.  ERR_MEMORY
 * whatever the result is, when an allocation failed on the way. */
static enum err
decode(const char *token, jwt_t **out)
{
	int failed;

	errno = 0;
	failed = jwt_decode(out, token, NULL, 0);
	if (failed == ENOMEM || errno == ENOMEM)
		return ERR_MEMORY;
	return failed != 0 || *out == NULL ? ERR_AUTH : OK;
}

static enum err
read_claims(const struct token_keys *keys, const char *token,
    struct token_claims *out)
{
	struct token_claims claims = { 0 };
	jwt_t *jwt = NULL;
	enum err err;

	err = decode(token, &jwt);
	if (err == OK)
		err = check_claims(keys, jwt, &claims);
	if (err == OK)
		*out = claims;
	jwt_free(jwt);
	return err;
}

/* Twice before it is refused: in want of memory libjwt's JSON can lose a
 * character and then forget that it was short. */
static enum err
verify_with(const struct token_keys *keys, const char *secret,
    const char *token, struct token_claims *out)
{
	enum err err;

	if (!is_signed(secret, token))
		return ERR_AUTH;
	err = read_claims(keys, token, out);
	return err == ERR_AUTH ? read_claims(keys, token, out) : err;
}

enum err
token_verify(const struct token_keys *keys, const char *token,
    struct token_claims *out)
{
	enum err err;

	if (token == NULL || !is_secret(keys->secret) || !is_shaped(token))
		return ERR_AUTH;
	err = verify_with(keys, keys->secret, token, out);
	if (err != ERR_AUTH || !is_secret(keys->secret_old))
		return err;
	return verify_with(keys, keys->secret_old, token, out);
}

static enum err
add_uuid(jwt_t *jwt, const char *name, const struct uuid *id)
{
	char text[UUID_TEXT_SIZE];

	uuid_text(id, text);
	return jwt_add_grant(jwt, name, text) == 0 ? OK : ERR_MEMORY;
}

static enum err
add_int(jwt_t *jwt, const char *name, int64_t value)
{
	return jwt_add_grant_int(jwt, name, (long)value) == 0 ? OK : ERR_MEMORY;
}

static enum err
add_claims(jwt_t *jwt, const struct token_keys *keys,
    const struct token_claims *claims)
{
	int64_t now = now_s();
	struct uuid token_id;
	enum err err;

	err = uuid_make(&token_id);
	if (err != OK)
		return err;
	if (jwt_add_grant(jwt, "iss", ISSUER) != 0 ||
	    jwt_add_grant(jwt, "aud", AUDIENCE) != 0 ||
	    jwt_add_grant(jwt, "typ", KIND) != 0)
		return ERR_MEMORY;
	if (add_uuid(jwt, "jti", &token_id) != OK ||
	    add_uuid(jwt, "sub", &claims->user_id) != OK ||
	    add_int(jwt, "ver", claims->version) != OK ||
	    add_int(jwt, "iat", now) != OK || add_int(jwt, "nbf", now) != OK ||
	    add_int(jwt, "exp", now + token_life_s(keys)) != OK)
		return ERR_MEMORY;
	if (uuid_is_zero(&claims->family_id))
		return OK;
	return add_uuid(jwt, "fam", &claims->family_id);
}

/* header.payload.signature */
static enum err
sign(const struct token_keys *keys, const char *payload, char **out)
{
	uint8_t mac[HMAC_SIZE];
	struct buf text;
	enum err err;

	buf_init(&text, TOKEN_MAX);
	buf_adds(&text, HEADER);
	codec_base64url(payload, strlen(payload), &text);
	hmac_make(keys->secret, buf_str(&text), text.len, mac);
	buf_addc(&text, '.');
	codec_base64url(mac, sizeof(mac), &text);
	err = buf_take(&text, out, NULL);
	buf_fini(&text);
	return err;
}

static enum err
make(const struct token_keys *keys, const struct token_claims *claims,
    char **out)
{
	jwt_t *jwt = NULL;
	char *payload = NULL;
	enum err err;

	if (jwt_new(&jwt) != 0)
		return ERR_MEMORY;
	err = add_claims(jwt, keys, claims);
	if (err != OK)
		goto out;
	payload = jwt_get_grants_json(jwt, NULL);
	err = payload == NULL ? ERR_MEMORY : sign(keys, payload, out);
out:
	free(payload);
	jwt_free(jwt);
	return err;
}

enum err
token_issue(const struct token_keys *keys, const struct uuid *user_id,
    const struct uuid *family_id, int64_t version, char **out)
{
	struct token_claims claims = { .user_id = *user_id,
		.version = version };
	struct token_claims check;
	char *token = NULL;
	enum err err;

	*out = NULL;
	if (!is_secret(keys->secret) || uuid_is_zero(user_id) || version < 1)
		return ERR_BUG;
	if (family_id != NULL)
		claims.family_id = *family_id;
	err = make(keys, &claims, &token);
	if (err != OK)
		return err;
	if (token_verify(keys, token, &check) != OK) {
		free(token); /* garbled by want of memory */
		return ERR_MEMORY;
	}
	*out = token;
	return OK;
}

const char *
token_library_version(void)
{
	return "1.10 (interface)";
}
