/*
 * test_token.c - access tokens: what is issued, and the table of forgeries.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "auth/token.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/codec.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define OTHER  "fedcba9876543210fedcba9876543210"
#define SUB    "0190f3c4-0000-7000-8000-000000000001"
#define HEADER "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"

static const struct token_keys keys = { .secret = SECRET, .life_ms = 900000 };

static struct uuid
subject(void)
{
	struct uuid id;

	cr_assert_eq(uuid_parse(SUB, &id), OK);
	return id;
}

static char *
issue(const struct token_keys *with)
{
	struct uuid id = subject();
	char *token = NULL;

	cr_assert_eq(token_issue(with, &id, NULL, 3, &token), OK);
	return token;
}

/* A token of any header and payload, signed right with secret. */
static char *
forge(const char *header, const char *payload, const char *secret,
    const EVP_MD *digest)
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned mac_len = 0;
	struct buf text;
	char *out = NULL;

	buf_init(&text, 40 * 1024 * 1024);
	codec_base64url(header, strlen(header), &text);
	buf_addc(&text, '.');
	codec_base64url(payload, strlen(payload), &text);
	HMAC(digest, secret, (int)strlen(secret),
	    (const unsigned char *)text.data, text.len, mac, &mac_len);
	buf_addc(&text, '.');
	codec_base64url(mac, mac_len, &text);
	cr_assert_eq(buf_take(&text, &out, NULL), OK);
	return out;
}

/* The payload that is accepted, with one claim in another text ("" leaves it
 * out); times are relative to now. */
struct change {
	const char *claim, *text;
};

static void
payload(struct buf *out, const struct change *change)
{
	int64_t now = clock_wall_us() / 1000000;
	const char *names[] = { "aud", "exp", "iat", "iss", "jti", "nbf", "sub",
		"typ", "ver" };
	char times[3][32] = { "", "", "" };
	struct buf number;
	const int64_t at[3] = { now + 900, now, now };

	for (int i = 0; i < 3; i++) {
		buf_init(&number, 31);
		buf_addf(&number, "%lld", (long long)at[i]);
		memcpy(times[i], number.data, number.len + 1);
		buf_fini(&number);
	}
	const char *values[] = { "\"minuted\"", times[0], times[1],
		"\"minuted\"", "\"0190f3c4-0000-7000-8000-00000000000a\"",
		times[2], "\"" SUB "\"", "\"at+jwt\"", "3" };

	buf_addc(out, '{');
	for (size_t i = 0; i < 9; i++) {
		const char *value = values[i];

		if (change != NULL && strcmp(change->claim, names[i]) == 0)
			value = change->text;
		if (*value == '\0')
			continue;
		buf_addf(out, "%s\"%s\":", out->len > 1 ? "," : "", names[i]);
		if (*value == '@')
			buf_addf(out, "%lld",
			    (long long)(now + strtoll(value + 1, NULL, 10)));
		else
			buf_adds(out, value);
	}
	if (change != NULL && strcmp(change->claim, "fam") == 0)
		buf_addf(out, ",\"fam\":%s", change->text);
	buf_addc(out, '}');
}

static enum err
verify_changed(const struct change *change)
{
	struct token_claims claims;
	struct buf text;
	char *token;
	enum err err;

	buf_init(&text, 4096);
	payload(&text, change);
	token = forge(HEADER, buf_str(&text), SECRET, EVP_sha256());
	err = token_verify(&keys, token, &claims);
	free(token);
	buf_fini(&text);
	return err;
}

static enum err
verify_header(const char *header, const EVP_MD *digest)
{
	struct token_claims claims;
	struct buf text;
	char *token;
	enum err err;

	buf_init(&text, 4096);
	payload(&text, NULL);
	token = forge(header, buf_str(&text), SECRET, digest);
	err = token_verify(&keys, token, &claims);
	free(token);
	buf_fini(&text);
	return err;
}

Test(token, what_is_issued_is_verified_and_says_who)
{
	struct uuid id = subject(), family;
	struct token_claims claims;
	char *token = NULL;

	cr_assert_eq(uuid_make(&family), OK);
	cr_assert_eq(token_issue(&keys, &id, &family, 7, &token), OK);
	cr_assert_eq(token_verify(&keys, token, &claims), OK);
	cr_expect(uuid_equal(&claims.user_id, &id));
	cr_expect(uuid_equal(&claims.family_id, &family));
	cr_expect_eq(claims.version, 7);
	cr_expect_eq(claims.expires_s - claims.issued_s, 900);
	free(token);
	token = issue(&keys);
	cr_assert_eq(token_verify(&keys, token, &claims), OK);
	cr_expect(uuid_is_zero(&claims.family_id));
	free(token);
}

Test(token, two_tokens_of_one_second_differ)
{
	char *a = issue(&keys), *b = issue(&keys);

	cr_expect(strcmp(a, b) != 0);
	free(a);
	free(b);
}

Test(token, the_forge_of_these_tests_makes_what_is_accepted)
{
	static const struct change none = { "nothing", "" };

	cr_expect_eq(verify_changed(&none), OK);
	cr_expect_eq(verify_header(HEADER, EVP_sha256()), OK);
}

Test(token, any_other_header_is_refused)
{
	static const char *const headers[] = {
		"{\"alg\":\"none\",\"typ\":\"JWT\"}",
		"{\"alg\":\"None\",\"typ\":\"JWT\"}",
		"{\"alg\":\"NONE\",\"typ\":\"JWT\"}",
		"{\"alg\":\"HS384\",\"typ\":\"JWT\"}",
		"{\"alg\":\"HS512\",\"typ\":\"JWT\"}",
		"{\"alg\":\"RS256\",\"typ\":\"JWT\"}",
		"{\"alg\":\"ES256\",\"typ\":\"JWT\"}",
		"{\"alg\":\"hs256\",\"typ\":\"JWT\"}", "{\"typ\":\"JWT\"}",
		"{\"alg\":\"HS256\"}",
		"{\"alg\":\"none\",\"alg\":\"HS256\",\"typ\":\"JWT\"}",
		"{\"alg\":\"HS256\",\"alg\":\"none\",\"typ\":\"JWT\"}",
		"{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}",
		"{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"1\"}",
		"{\"alg\":\"HS256\",\"kid\":\"../../dev/"
		"null\",\"typ\":\"JWT\"}",
		"{\"alg\":\"HS256\",\"jku\":\"https://x/\",\"typ\":\"JWT\"}",
		"{\"typ\":\"JWT\",\"alg\":\"HS256\"}",
		"{\"alg\":\"HS256\",\"typ\":\"JWT\"} ", "{}", "[]", "null", "",
		"x"
	};

	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
		cr_expect_eq(verify_header(headers[i], EVP_sha256()), ERR_AUTH,
		    "%s", headers[i]);
	cr_expect_eq(verify_header(headers[3], EVP_sha384()), ERR_AUTH);
	cr_expect_eq(verify_header(headers[4], EVP_sha512()), ERR_AUTH);
	cr_expect_eq(verify_header(HEADER, EVP_sha512()), ERR_AUTH);
}

Test(token, every_claim_is_needed_with_its_type_and_value)
{
	static const struct change changes[] = { { "aud", "" },
		{ "aud", "\"other\"" }, { "aud", "[\"minuted\"]" },
		{ "aud", "1" }, { "iss", "" }, { "iss", "\"Minuted\"" },
		{ "iss", "null" }, { "typ", "" }, { "typ", "\"refresh\"" },
		{ "typ", "\"JWT\"" }, { "jti", "" }, { "jti", "\"\"" },
		{ "jti", "5" }, { "jti", "\"not a uuid\"" }, { "sub", "" },
		{ "sub", "1" }, { "sub", "\"admin\"" },
		{ "sub", "\"00000000-0000-0000-0000-000000000000\"" },
		{ "sub", "[\"" SUB "\"]" }, { "ver", "" }, { "ver", "0" },
		{ "ver", "-1" }, { "ver", "\"3\"" }, { "ver", "3.0" },
		{ "ver", "true" }, { "exp", "" }, { "exp", "@-1" },
		{ "exp", "@0" }, { "exp", "\"9999999999\"" }, { "exp", "1e11" },
		{ "exp", "@901" }, { "exp", "-5" }, { "exp", "null" },
		{ "exp", "9999999999" }, { "iat", "" }, { "iat", "@60" },
		{ "iat", "@-9000" }, { "iat", "\"1\"" }, { "iat", "true" },
		{ "iat", "1.5" }, { "nbf", "" }, { "nbf", "@60" },
		{ "nbf", "\"1\"" }, { "nbf", "0" }, { "fam", "5" },
		{ "fam", "\"x\"" }, { "fam", "null" }, { "fam", "{}" } };

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
		cr_expect_eq(verify_changed(&changes[i]), ERR_AUTH, "%s %s",
		    changes[i].claim, changes[i].text);
}

Test(token, clocks_may_differ_by_the_leeway)
{
	static const struct change near = { "nbf", "@3" };

	cr_expect_eq(verify_changed(&near), OK);
}

Test(token, payloads_that_are_no_object_are_refused)
{
	static const char *const bodies[] = { "", "x", "[]", "null", "\"a\"",
		"{", "{}", "{}{}", "\xff\xfe" };
	struct token_claims claims;

	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		char *token = forge(HEADER, bodies[i], SECRET, EVP_sha256());

		cr_expect_eq(token_verify(&keys, token, &claims), ERR_AUTH);
		free(token);
	}
}

Test(token, any_changed_character_is_noticed)
{
	char *token = issue(&keys);
	struct token_claims claims;

	for (size_t i = 0; token[i] != '\0'; i++) {
		char was = token[i];

		token[i] = was == 'A' ? 'B' : 'A';
		cr_expect_eq(token_verify(&keys, token, &claims), ERR_AUTH,
		    "at %zu", i);
		token[i] = was;
	}
	cr_expect_eq(token_verify(&keys, token, &claims), OK);
	free(token);
}

Test(token, shapes_that_are_no_token_are_refused)
{
	static const char *const shapes[] = { "", ".", "..", "...", "a.b",
		"a.b.c", "a.b.c.d", "Bearer x", " ", "\xff",
		"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9",
		"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.",
		"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9..",
		"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.",
		"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30",
		"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30=.AAAA" };
	struct token_claims claims;

	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		cr_expect_eq(token_verify(&keys, shapes[i], &claims), ERR_AUTH,
		    "%s", shapes[i]);
	cr_expect_eq(token_verify(&keys, NULL, &claims), ERR_AUTH);
}

/* A signed token whose text has exactly len bytes. */
static char *
token_of_len(size_t len)
{
	size_t encoded =
	    len - strlen("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.") - 1 - 43;
	size_t raw = encoded / 4 * 3 + (encoded % 4 == 0 ? 0 : encoded % 4 - 1);
	char *text = malloc(raw + 1);
	char *token;

	cr_assert_not_null(text);
	memset(text, ' ', raw);
	text[0] = '{';
	text[raw - 1] = '}';
	text[raw] = '\0';
	token = forge(HEADER, text, SECRET, EVP_sha256());
	free(text);
	return token;
}

static void *
verify_oversized(void *arg)
{
	static const size_t sizes[] = { 4095, 4097, 65536, 1024 * 1024,
		20 * 1024 * 1024 };
	struct token_claims claims;
	char *good = issue(&keys);

	(void)arg;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char *token = token_of_len(sizes[i]);

		cr_expect_eq(token_verify(&keys, token, &claims), ERR_AUTH);
		free(token);
	}
	cr_expect_eq(token_verify(&keys, good, &claims), OK);
	free(good);
	return NULL;
}

Test(token, big_ones_are_refused_on_a_small_stack)
{
	pthread_attr_t small;
	pthread_t thread;

	pthread_attr_init(&small);
	cr_assert_eq(pthread_attr_setstacksize(&small, 256 * 1024), 0);
	cr_assert_eq(pthread_create(&thread, &small, verify_oversized, NULL),
	    0);
	pthread_join(thread, NULL);
	pthread_attr_destroy(&small);
}

Test(token, the_old_secret_verifies_until_it_is_taken_away)
{
	struct token_keys old = { .secret = OTHER, .life_ms = 900000 };
	struct token_keys both = {
		.secret = SECRET, .secret_old = OTHER, .life_ms = 900000
	};
	struct token_claims claims;
	char *token = issue(&old);

	cr_expect_eq(token_verify(&both, token, &claims), OK);
	cr_expect_eq(token_verify(&keys, token, &claims), ERR_AUTH);
	both.secret_old = "";
	cr_expect_eq(token_verify(&both, token, &claims), ERR_AUTH);
	both.secret_old = "short";
	cr_expect_eq(token_verify(&both, token, &claims), ERR_AUTH);
	free(token);
}

/* libjwt accepts anything with an empty key. */
Test(token, without_a_secret_nothing_is_issued_or_verified)
{
	struct token_keys none = { .secret = "", .life_ms = 900000 };
	struct uuid id = subject();
	struct token_claims claims;
	char *token = issue(&keys), *made = NULL;

	cr_expect_eq(token_verify(&none, token, &claims), ERR_AUTH);
	cr_expect_eq(token_issue(&none, &id, NULL, 1, &made), ERR_BUG);
	cr_expect_null(made);
	none.secret = "0123456789abcdef0123456789abcde";
	cr_expect_eq(token_issue(&none, &id, NULL, 1, &made), ERR_BUG);
	none.secret = NULL;
	cr_expect_eq(token_verify(&none, token, &claims), ERR_AUTH);
	free(token);
}

Test(token, its_life_is_the_settings_rounded_up_to_seconds)
{
	struct token_keys brief = { .secret = SECRET, .life_ms = 1500 };
	struct token_claims claims;
	char *token = issue(&brief);

	cr_expect_eq(token_life_s(&brief), 2);
	cr_expect_eq(token_verify(&brief, token, &claims), OK);
	cr_expect_eq(claims.expires_s - claims.issued_s, 2);
	free(token);
}

#ifndef __SANITIZE_ADDRESS__
#ifndef __SANITIZE_THREAD__
/* The n-th allocation fails, or it and all after it, for every n. */
void *__libc_malloc(size_t len);
static _Thread_local int allocations_left = -1;
static _Thread_local bool one_is_refused;
static _Thread_local int allocations_refused;

void *
malloc(size_t len)
{
	if (allocations_left == 0) {
		allocations_refused++;
		if (one_is_refused)
			allocations_left = -1;
		errno = ENOMEM;
		return NULL;
	}
	if (allocations_left > 0)
		allocations_left--;
	return __libc_malloc(len);
}

static void
refuse(int n, bool one)
{
	allocations_refused = 0;
	one_is_refused = one;
	allocations_left = n;
}

static enum err
verify_short(const char *token, int n, bool one)
{
	struct token_claims claims;
	enum err err;

	refuse(n, one);
	err = token_verify(&keys, token, &claims);
	allocations_left = -1;
	return err;
}

Test(token, a_forgery_is_refused_without_memory)
{
	struct buf text;
	char *forged;

	buf_init(&text, 4096);
	payload(&text, NULL);
	forged = forge(HEADER, buf_str(&text), OTHER, EVP_sha256());
	cr_expect_eq(verify_short(forged, 0, false), ERR_AUTH);
	cr_expect_eq(allocations_refused, 0);
	buf_fini(&text);
	free(forged);
}

Test(token, want_of_memory_is_not_taken_for_a_bad_token)
{
	struct uuid id = subject();
	char *good = NULL;
	int n = 0;

	cr_assert_eq(token_issue(&keys, &id, &id, 3, &good), OK);
	do {
		enum err err = verify_short(good, n, false);

		cr_expect_eq(err, allocations_refused ? ERR_MEMORY : OK,
		    "allocation %d: %s", n, err_name(err));
	} while (allocations_refused > 0 && ++n < 500);
	cr_expect_gt(n, 10);
	n = 0;
	do {
		enum err err = verify_short(good, n, true);

		cr_expect(err == OK ||
			      (allocations_refused > 0 && err == ERR_MEMORY),
		    "allocation %d alone: %s", n, err_name(err));
	} while (allocations_refused > 0 && ++n < 500);
	cr_expect_eq(allocations_refused, 0);
	free(good);
}

static void
issue_at_every_allocation(bool one)
{
	struct uuid id = subject();
	struct token_claims claims;
	int n = 0;

	do {
		char *token = NULL;
		enum err err;

		refuse(n, one);
		err = token_issue(&keys, &id, &id, 3, &token);
		allocations_left = -1;
		cr_expect(err == OK ||
			      (allocations_refused > 0 && err == ERR_MEMORY),
		    "allocation %d: %s", n, err_name(err));
		cr_expect_eq(token == NULL, err != OK);
		if (token != NULL)
			cr_expect_eq(token_verify(&keys, token, &claims), OK);
		free(token);
	} while (allocations_refused > 0 && ++n < 500);
	cr_expect_gt(n, 10);
	cr_expect_eq(allocations_refused, 0);
}

Test(token, issuing_in_want_of_memory_says_so)
{
	issue_at_every_allocation(false);
}

Test(token, issuing_when_one_allocation_fails_says_so)
{
	issue_at_every_allocation(true);
}
#endif
#endif
