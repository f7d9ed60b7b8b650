/*
 * test_escape.c - the escapes of JSON strings.
 */
#include "json/escape.h"

#include <criterion/criterion.h>
#include <string.h>

static void
expect_decoded(const char *text, const char *expected)
{
	struct escape_decoder decoder = {
		.at = text,
		.end = text + strlen(text),
	};

	for (; *expected != '\0'; expected++)
		cr_expect_eq(escape_decode(&decoder), (uint8_t)*expected, "%s",
		    text);
	cr_expect_eq(escape_decode(&decoder), -1, "%s", text);
	cr_expect_eq(escape_decode(&decoder), -1, "%s", text);
}

Test(escape, decodes_every_escape)
{
	expect_decoded("", "");
	expect_decoded("plain \xc3\xa9", "plain \xc3\xa9");
	expect_decoded("\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t");
	expect_decoded("x\\u0041y", "xAy");
	expect_decoded("\\u007f\\u0080", "\x7f\xc2\x80");
	expect_decoded("\\u07FF\\u0800", "\xdf\xbf\xe0\xa0\x80");
	expect_decoded("\\ud7ff\\ue000\\uffff",
	    "\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf");
	expect_decoded("\\ud800\\udc00\\uDBFF\\uDFFF!",
	    "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf!");
}

static int
unit(const char *text)
{
	return escape_unit(text, text + strlen(text));
}

Test(escape, a_unit_is_four_hex_digits)
{
	cr_expect_eq(unit("0000"), 0);
	cr_expect_eq(unit("fFaA9"), 0xffaa);
	cr_expect_eq(unit("fff"), -1);
	cr_expect_eq(unit(""), -1);
	cr_expect_eq(unit("00g0"), -1);
	cr_expect_eq(unit("-001"), -1);
	cr_expect_eq(unit(" 001"), -1);
}

Test(escape, halves_are_told_apart)
{
	cr_expect_not(escape_is_high(0xd7ff));
	cr_expect(escape_is_high(0xd800) && escape_is_high(0xdbff));
	cr_expect_not(escape_is_high(0xdc00));
	cr_expect(escape_is_low(0xdc00) && escape_is_low(0xdfff));
	cr_expect_not(escape_is_low(0xdbff) || escape_is_low(0xe000));
	cr_expect_not(escape_is_high(-1) || escape_is_low(-1));
}
