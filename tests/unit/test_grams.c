/*
 * test_grams.c - what a text can contain: never less than PostgreSQL finds.
 */
#include "journal/grams.h"

#include <string.h>

#include <criterion/criterion.h>

static struct grams grams;

static void
add(const char *text)
{
	grams_add(&grams, text, strlen(text));
}

/* Could the texts have this in them?  True also for what has no bits. */
static bool
may_have(const char *text)
{
	int32_t bits[GRAMS_WANTED];

	if (!grams_wanted(text, strlen(text), bits))
		return true;
	for (size_t i = 0; i < GRAMS_WANTED; i++) {
		cr_assert(bits[i] >= 0 && bits[i] < GRAMS_BITS);
		if ((grams.bits[bits[i] / 8] & (0x80 >> (bits[i] % 8))) == 0)
			return false;
	}
	return true;
}

static void
start(void)
{
	grams_init(&grams);
}

TestSuite(grams, .init = start);

Test(grams, a_text_may_have_each_of_its_parts)
{
	static const char text[] = "The Zeppelin was over M\xc3\xbcnchen, 100% "
				   "sure: \xe6\xb0\xb4 and more of it";
	char part[sizeof(text)];

	add(text);
	for (size_t from = 0; from < sizeof(text); from++) {
		for (size_t len = 1; from + len < sizeof(text); len++) {
			memcpy(part, text + from, len);
			part[len] = '\0';
			cr_expect(may_have(part), "%s", part);
		}
	}
}

Test(grams, letter_case_does_not_matter)
{
	add("The Zeppelin IS over Oslo");
	cr_expect(may_have("tHE zEPPELIN is OVER oSLO"));
}

Test(grams, what_is_not_there_is_told_apart)
{
	add("The zeppelin was over Oslo");
	cr_expect_not(may_have("airship"));
	cr_expect_not(may_have("zeppelins"));
	cr_expect_not(may_have("over  Oslo"));
}

Test(grams, letters_that_become_ascii_in_lower_case_are_that_letter)
{
	add("\xe2\x84\xaa"
	    "elvin, \xc4\xb0stanbul, b\xc4\xb1ld");
	cr_expect(may_have("kelvin"));
	cr_expect(may_have("istanbul"));
	cr_expect(may_have("BILD"));
	add("KELVIN");
	cr_expect(may_have("\xe2\x84\xaa"
			   "elvin"));
}

Test(grams, two_texts_are_not_one)
{
	add("ab");
	add("cd");
	cr_expect_not(may_have("abc"));
	cr_expect_not(may_have("bcd"));
}

Test(grams, short_and_foreign_texts_have_no_bits)
{
	int32_t bits[GRAMS_WANTED];

	cr_expect_not(grams_wanted("", 0, bits));
	cr_expect_not(grams_wanted("ab", 2, bits));
	cr_expect_not(grams_wanted("ab\xc3\xa4"
				   "cd",
	    6, bits));
	cr_expect_not(grams_wanted("\xe6\xb0\xb4\xe6\xb0\xb4", 6, bits));
}

Test(grams, what_is_wanted_is_from_all_of_a_text)
{
	add("a zeppelin was over the town, and everybody came out to ");
	cr_expect_not(may_have("a zeppelin was over the town, and everybody "
			       "saw it"));
}

Test(grams, the_text_is_what_postgresql_reads)
{
	char text[GRAMS_TEXT_SIZE];
	struct grams empty;

	grams_init(&empty);
	grams_text(&empty, text);
	cr_expect_eq(text[0], 'x');
	cr_expect_eq(strlen(text), 1 + GRAMS_BITS / 4);
	cr_expect_eq(strspn(text + 1, "0"), GRAMS_BITS / 4);
}

Test(grams, letters_with_a_dot_are_found_as_one_letter_or_two)
{
	add("\xc4\xb0stanbul and i\xcc\x87zmir, I\xcc\x87znik, T\xc3\x8cVO");
	cr_expect(may_have("i\xcc\x87stanbul"));
	cr_expect(may_have("\xc4\xb0zmir"));
	cr_expect(may_have("iznik"));
	cr_expect(may_have("\xc4\xb0znik"));
	cr_expect(may_have("ti"));
	cr_expect(may_have(", ti"));
}
