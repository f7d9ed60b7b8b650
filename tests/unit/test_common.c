/*
 * test_common.c - the rules behind the list of common passwords.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "auth/common.h"

static bool
common(const char *password)
{
	return common_password(password, strlen(password));
}

Test(common, letters_swapped_for_signs_are_seen_through)
{
	cr_expect(common("p@$$w0rd"));
	cr_expect(common("1l0v3y0u"));
	cr_expect(common("DR4G0N99"));
}

Test(common, runs_are_found_in_both_directions)
{
	cr_expect(common("lkjhgfdsa"));
	cr_expect(common("0987654321"));
	cr_expect(common("zyxwvuts"));
	cr_expect(common("7410852963") == false, "no run of the table");
}

Test(common, two_usual_pieces_are_one_too_few)
{
	cr_expect(common("bluedragon"));
	cr_expect(common("123password"));
	cr_expect_not(common("bluedragonmonday7"));
}

Test(common, a_long_rest_makes_a_password_of_its_own)
{
	cr_expect(common("dragon12"));
	cr_expect_not(common("dragon-48213970"));
	cr_expect_not(common("dragonfruit-in-the-bowl"));
}

Test(common, repetitions_are_refused_at_any_length)
{
	char text[1024];

	memset(text, 'x', sizeof(text));
	cr_expect(common_password(text, sizeof(text)));
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = "ab7!"[i % 4];
	cr_expect(common_password(text, sizeof(text)));
	text[1000] = 'q';
	cr_expect_not(common_password(text, sizeof(text)));
}

Test(common, edges_do_not_read_past_the_text)
{
	cr_expect_not(common(""));
	cr_expect_not(common("a"));
	cr_expect_not(common("7"));
	cr_expect_not(common("\xff\xfe"));
	cr_expect(common("!!!!!!!!"));
}
