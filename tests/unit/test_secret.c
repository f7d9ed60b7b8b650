/*
 * test_secret.c - API keys and refresh tokens.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "auth/secret.h"
#include "failing.h"

Test(secret, a_key_has_the_promised_shape)
{
	char key[SECRET_KEY_SIZE], prefix[SECRET_PREFIX_SIZE];

	cr_assert_eq(secret_key_make(key, prefix), OK);
	cr_expect_eq(strlen(key), 51);
	cr_expect_eq(strlen(prefix), 12);
	cr_expect(strncmp(key, "mnt_", 4) == 0);
	cr_expect(strncmp(key, prefix, 12) == 0);
	cr_expect_eq(key[12], '_');
	cr_expect(secret_key_plausible(key));
	cr_expect(secret_key_marked(key));
}

Test(secret, two_keys_differ_in_both_parts)
{
	char a[SECRET_KEY_SIZE], b[SECRET_KEY_SIZE];
	char pa[SECRET_PREFIX_SIZE], pb[SECRET_PREFIX_SIZE];

	cr_assert_eq(secret_key_make(a, pa), OK);
	cr_assert_eq(secret_key_make(b, pb), OK);
	cr_expect(strcmp(pa, pb) != 0);
	cr_expect(strcmp(a + 13, b + 13) != 0);
}

Test(secret, any_changed_character_is_noticed)
{
	char key[SECRET_KEY_SIZE], prefix[SECRET_PREFIX_SIZE];

	cr_assert_eq(secret_key_make(key, prefix), OK);
	for (size_t i = 0; i < strlen(key); i++) {
		char was = key[i];

		key[i] = was == 'x' ? 'y' : 'x';
		cr_expect_not(secret_key_plausible(key), "at %zu", i);
		key[i] = was;
	}
	cr_expect(secret_key_plausible(key));
}

Test(secret, what_is_no_key_is_implausible)
{
	char key[SECRET_KEY_SIZE + 8], prefix[SECRET_PREFIX_SIZE];

	cr_expect_not(secret_key_plausible(""));
	cr_expect_not(secret_key_plausible("mnt_"));
	cr_expect_not(secret_key_plausible("sk-proj-abc"));
	cr_expect_not(secret_key_plausible("mnt_AbCd1234_"));
	cr_assert_eq(secret_key_make(key, prefix), OK);
	memcpy(key + 51, "0", 2);
	cr_expect_not(secret_key_plausible(key));
	key[50] = '\0';
	cr_expect_not(secret_key_plausible(key));
	cr_expect_not(secret_key_marked("eyJhbGciOi"));
	cr_expect_not(secret_key_marked("mn"));
}

Test(secret, a_hash_is_sha256_in_hex)
{
	char hash[SECRET_HASH_SIZE];

	secret_hash("abc", hash);
	cr_expect_str_eq(hash, "ba7816bf8f01cfea414140de5dae2223"
			       "b00361a396177a9cb410ff61f20015ad");
}

Test(secret, a_refresh_token_is_random_and_fits)
{
	char a[SECRET_TOKEN_SIZE], b[SECRET_TOKEN_SIZE];

	cr_assert_eq(secret_refresh_make(a), OK);
	cr_assert_eq(secret_refresh_make(b), OK);
	cr_expect_eq(strlen(a), 47);
	cr_expect(strcmp(a, b) != 0);
	cr_expect_not(secret_key_plausible(a));
}

Test(secret, equality_is_of_whole_texts)
{
	cr_expect(secret_equal("abc", "abc"));
	cr_expect_not(secret_equal("abc", "abd"));
	cr_expect_not(secret_equal("abc", "abcd"));
	cr_expect_not(secret_equal("", "a"));
	cr_expect(secret_equal("", ""));
}

/* One that is left over would take a caller for the one before. */
Test(secret, want_of_memory_does_not_change_a_hash)
{
	char usual[SECRET_HASH_SIZE], other[SECRET_HASH_SIZE];
	char hash[SECRET_HASH_SIZE] = "";
	bool hit = false;

	secret_hash("mine", usual);
	secret_hash("another's", other);
	for (int n = 0; n < 8; n++) {
		secret_hash("another's", hash);
		failing_after(n);
		secret_hash("mine", hash);
		hit = failing_stop() || hit;
		cr_expect_str_eq(hash, usual, "allocation %d", n);
	}
	cr_expect_not(hit, "hashing allocates");
	cr_expect_str_neq(usual, other);
}
