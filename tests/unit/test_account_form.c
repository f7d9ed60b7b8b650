/*
 * test_account_form.c - what is an e-mail address, and which names agree with
 * it.  The fields themselves are tested over HTTP.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "api/account_form.h"

Test(account_form, addresses_are_told_from_other_text)
{
	static const char *const good[] = { "a@b.c",
		"anna.b+tag@mail.example.org", "x_y-z@example.co.uk", "1@2.3",
		"o'hara@example.ie" };
	static const char *const bad[] = { "", "@", "a", "a@", "@b.c", "a@b",
		"a@.c", "a@b.", "a@b..c", "a@b@c.d", "a b@c.d", "a@b .c",
		"a@b.c\n", "a\t@b.c", "<a@b.c>", "a,b@c.d", "a@b.c,d@e.f",
		"\"a\"@b.c", "a@b.c;", "\xc3\xa4@b.c", "a@\xc3\xa4.de",
		"a\\b@c.d", "a@[127.0.0.1]" };

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		cr_expect(account_form_is_email(good[i]), "%s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_not(account_form_is_email(bad[i]), "%s", bad[i]);
}

Test(account_form, addresses_have_a_longest)
{
	char text[330];

	memset(text, 'a', sizeof(text));
	memcpy(text + 316, "@b.c", 5);
	cr_expect(account_form_is_email(text));
	memcpy(text + 317, "@b.c", 5);
	text[316] = 'a';
	cr_expect_not(account_form_is_email(text));
}

Test(account_form, a_name_with_an_at_is_the_address_or_nothing)
{
	cr_expect(account_form_agree("anna", NULL));
	cr_expect(account_form_agree("anna", "a@b.c"));
	cr_expect(account_form_agree("A@B.c", "a@b.c"));
	cr_expect_not(account_form_agree("a@b.c", NULL));
	cr_expect_not(account_form_agree("a@b.c", "x@y.z"));
	cr_expect_not(account_form_agree("@", "x@y.z"));
}
