/*
 * test_verified.c - a token that is shown again is the same token.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/verified.h"
#include "base/clock.h"

static struct token_keys keys = { .secret = "0123456789abcdef0123456789abcdef",
	.life_ms = 900000 };
static struct verified *verified;
static struct uuid user, family;

static void
set_up(void)
{
	verified = verified_new(&keys);
	cr_assert_not_null(verified);
	cr_assert_eq(uuid_make(&user), OK);
	cr_assert_eq(uuid_make(&family), OK);
}

static void
tear_down(void)
{
	verified_free(verified);
}

TestSuite(verified, .init = set_up, .fini = tear_down, .timeout = 60);

static char *
issue(int64_t version)
{
	char *token = NULL;

	cr_assert_eq(token_issue(&keys, &user, &family, version, &token), OK);
	return token;
}

static void
expect_same(const char *token)
{
	struct token_claims told, wanted;

	cr_assert_eq(token_verify(&keys, token, &wanted), OK);
	for (int i = 0; i < 3; i++) {
		memset(&told, 0, sizeof(told));
		cr_assert_eq(verified_token(verified, token, &told), OK);
		cr_expect(uuid_equal(&told.user_id, &wanted.user_id));
		cr_expect(uuid_equal(&told.family_id, &wanted.family_id));
		cr_expect_eq(told.version, wanted.version);
		cr_expect_eq(told.issued_s, wanted.issued_s);
		cr_expect_eq(told.expires_s, wanted.expires_s);
	}
}

Test(verified, says_the_same_each_time)
{
	char *one = issue(1), *two = issue(2);

	expect_same(one);
	expect_same(two);
	expect_same(one);
	free(one);
	free(two);
}

Test(verified, more_tokens_than_places_are_all_good)
{
	char *tokens[64];

	for (size_t round = 0; round < 2; round++) {
		for (int64_t i = 0; i < 3000; i++) {
			char *token = issue(i + 1);

			expect_same(token);
			if (i < 64 && round == 0)
				tokens[i] = token;
			else
				free(token);
		}
	}
	for (size_t i = 0; i < 64; i++) {
		expect_same(tokens[i]);
		free(tokens[i]);
	}
}

Test(verified, no_other_token_is_good_because_of_it)
{
	struct token_claims claims;
	char *token = issue(1);
	size_t len = strlen(token);

	expect_same(token);
	for (size_t i = 0; i < len; i++) {
		char byte = token[i];

		token[i] = byte == 'A' ? 'B' : 'A';
		cr_expect_eq(verified_token(verified, token, &claims), ERR_AUTH,
		    "%zu", i);
		token[i] = byte;
	}
	token[len - 1] = '\0';
	cr_expect_eq(verified_token(verified, token, &claims), ERR_AUTH);
	cr_expect_eq(verified_token(verified, "", &claims), ERR_AUTH);
	free(token);
}

Test(verified, a_token_ends_when_it_says)
{
	const struct timespec pause = { .tv_nsec = 10000000 };
	int64_t deadline_us = clock_mono_us() + 10000000;
	struct token_claims claims;
	char *token;

	keys.life_ms = 1000;
	token = issue(1);
	while (verified_token(verified, token, &claims) == OK &&
	       clock_mono_us() < deadline_us)
		(void)nanosleep(&pause, NULL);
	cr_expect_eq(verified_token(verified, token, &claims), ERR_AUTH);
	cr_expect_geq(clock_wall_us() / 1000000, claims.expires_s);
	keys.life_ms = 900000;
	free(token);
}
