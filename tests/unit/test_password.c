/*
 * test_password.c - argon2id, and which passwords are refused.
 */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/resource.h>

#include "auth/password.h"
#include "base/clock.h"

static const char secret[] = "correct horse battery staple";

static enum err
verify(const char *password, const char *hash)
{
	return password_verify(password, strlen(password), hash);
}

Test(password, a_hash_is_argon2id_with_the_promised_parameters)
{
	char hash[PASSWORD_HASH_SIZE];

	cr_assert_eq(password_hash(secret, strlen(secret), hash), OK);
	cr_expect(strncmp(hash, "$argon2id$v=19$m=19456,t=2,p=1$", 31) == 0);
	cr_expect_eq(strlen(hash), 31 + 22 + 1 + 43);
}

Test(password, only_the_right_one_is_accepted)
{
	char hash[PASSWORD_HASH_SIZE], other[PASSWORD_HASH_SIZE];

	cr_assert_eq(password_hash(secret, strlen(secret), hash), OK);
	cr_assert_eq(password_hash(secret, strlen(secret), other), OK);
	cr_expect(strcmp(hash, other) != 0, "the salt differs");
	cr_expect_eq(verify(secret, hash), OK);
	cr_expect_eq(verify(secret, other), OK);
	cr_expect_eq(verify("Correct horse battery staple", hash), ERR_AUTH);
	cr_expect_eq(verify("correct horse battery stapl", hash), ERR_AUTH);
	cr_expect_eq(verify("correct horse battery staple ", hash), ERR_AUTH);
	cr_expect_eq(verify("", hash), ERR_AUTH);
}

Test(password, every_byte_counts_up_to_the_ceiling)
{
	char text[PASSWORD_MAX + 1], hash[PASSWORD_HASH_SIZE];

	memset(text, 'q', sizeof(text));
	cr_assert_eq(password_hash(text, PASSWORD_MAX, hash), OK);
	cr_expect_eq(password_verify(text, PASSWORD_MAX, hash), OK);
	cr_expect_eq(password_verify(text, PASSWORD_MAX - 1, hash), ERR_AUTH);
	cr_expect_eq(password_verify(text, PASSWORD_MAX + 1, hash), ERR_AUTH);
	cr_expect_eq(password_hash(text, PASSWORD_MAX + 1, hash), ERR_INPUT);
}

Test(password, an_unknown_user_costs_what_a_wrong_password_costs)
{
	char hash[PASSWORD_HASH_SIZE];
	int64_t known, unknown, start;

	cr_assert_eq(password_hash(secret, strlen(secret), hash), OK);
	start = clock_mono_us();
	for (int i = 0; i < 5; i++)
		cr_expect_eq(verify("wrong password", hash), ERR_AUTH);
	known = clock_mono_us() - start;
	start = clock_mono_us();
	for (int i = 0; i < 5; i++)
		cr_expect_eq(verify("wrong password", NULL), ERR_AUTH);
	unknown = clock_mono_us() - start;
	cr_expect(unknown * 2 > known && known * 2 > unknown);
}

/* The library itself would allocate 4 GiB for the first of these. */
Test(password, a_stored_hash_cannot_ask_for_more_than_the_bounds)
{
	static const char *const hashes[] = {
		"$argon2id$v=19$m=4194304,t=2,p=1$bWludXRlZC5kdW1teS5zYQ"
		"$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=19456,t=11,p=1$bWludXRlZC5kdW1teS5zYQ"
		"$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=19456,t=2,p=5$bWludXRlZC5kdW1teS5zYQ"
		"$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=99999999999999999999,t=2,p=1$c2FsdHNhbHQ$AA",
		"$argon2id$v=19$m=-1,t=2,p=1$c2FsdHNhbHQ$AA",
		"$argon2id$v=19$m=19456,t=2$c2FsdHNhbHQ$AA",
		"$argon2i$v=19$m=19456,t=2,p=1$bWludXRlZC5kdW1teS5zYQ"
		"$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=19456,t=2,p=1$",
		"plain",
		"",
	};
	struct rusage before, after;

	getrusage(RUSAGE_SELF, &before);
	for (size_t i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++)
		cr_expect_eq(verify(secret, hashes[i]), ERR_AUTH, "%zu", i);
	getrusage(RUSAGE_SELF, &after);
	cr_expect_lt(after.ru_maxrss - before.ru_maxrss, 256 * 1024);
}

Test(password, a_changed_tag_is_not_accepted)
{
	char hash[PASSWORD_HASH_SIZE];
	char *last;

	cr_assert_eq(password_hash("abcdefgh-1", 10, hash), OK);
	last = hash + strlen(hash) - 1;
	*last = *last == 'A' ? 'E' : 'A';
	cr_expect_eq(verify("abcdefgh-1", hash), ERR_AUTH);
}

Test(password, usual_ones_are_refused)
{
	static const char *const refused[] = { "password", "Password1",
		"password1234567", "P@ssw0rd!", "passwordpassword",
		"qwertyuiop", "qwerty123456", "1qaz2wsx3edc", "zaq12wsx",
		"12345678", "123456789", "1234567890", "87654321", "abcdefgh",
		"aaaaaaaaaaaa", "abababababab", "12121212", "abc123abc123",
		"iloveyou", "letmein123", "welcome2024!", "Summer2023",
		"dragon12345", "trustno1", "admin1234", "Minuted2024",
		"19901225", "25121990", "!!password!!", "1q2w3e4r5t",
		"asdfghjkl", "monkey123", "changeme1" };

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		cr_expect_not_null(password_refuse(refused[i],
				       strlen(refused[i]), 8, NULL, NULL),
		    "%s", refused[i]);
}

Test(password, others_are_accepted_whatever_they_are_made_of)
{
	static const char *const accepted[] = { "correct horse battery staple",
		"x7#kPq2v", "tr0ub4dor&3", "  spaces kept  ", "74829105",
		"\xc3\xbc\xc3\xb6\xc3\xa4\xc3\x9f-kein-wort",
		"\xe5\xaf\x86\xe7\xa0\x81\xe5\xbe\x88\xe9\x95\xbf",
		"sunshine in the east wing", "Zm9vYmFyYmF6",
		"playground-7-owls", "2bornot2bthatis",
		"monkeys eat bananas at noon", "passwordless future",
		"hunter2 is not my password", "vJ9$tLw2", "mein-haus-am-see",
		"0123456789012345678901234567890123456789012345678901234567890"
		"x3" };

	for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++)
		cr_expect_null(password_refuse(accepted[i], strlen(accepted[i]),
				   8, NULL, NULL),
		    "%s", accepted[i]);
}

Test(password, length_is_in_bytes_from_the_setting_to_the_ceiling)
{
	char text[PASSWORD_MAX + 2];

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + i * i % 23);
	memcpy(text, "x7#kPq2v", 8);
	cr_expect_not_null(password_refuse("x7#kPq2", 7, 8, NULL, NULL));
	cr_expect_null(password_refuse("x7#kPq2v", 8, 8, NULL, NULL));
	cr_expect_not_null(password_refuse("x7#kPq2v", 8, 15, NULL, NULL));
	cr_expect_null(password_refuse(text, PASSWORD_MAX, 8, NULL, NULL));
	cr_expect_not_null(password_refuse(text, PASSWORD_MAX + 1, 8, NULL,
	    NULL));
}

Test(password, the_users_own_name_and_address_are_refused)
{
	const char *email = "heidi.k@example.org", *name = "heidiklum";

	cr_expect_not_null(password_refuse("heidi.k@example.org", 19, 8, email,
	    name));
	cr_expect_not_null(password_refuse("HeidiKlum", 9, 8, email, name));
	cr_expect_not_null(password_refuse("heidiklum1!", 11, 8, email, name));
	cr_expect_not_null(password_refuse("heidi.k1", 8, 8, email, name));
	cr_expect_null(password_refuse("heidiklum-zwei-katzen", 21, 8, email,
	    name));
	cr_expect_null(password_refuse("Abendbrot-7", 11, 8, "a@b.c", "ab"));
}
