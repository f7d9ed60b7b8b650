/*
 * test_jsonw.c - writing JSON.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json/write.h"

static struct buf buf;
static struct jsonw w;

static void
setup(void)
{
	buf_init(&buf, 4096);
	jsonw_init(&w, &buf);
}

static void
teardown(void)
{
	buf_fini(&buf);
}

TestSuite(jsonw, .init = setup, .fini = teardown);

static void
expect(const char *text)
{
	cr_expect(buf_ok(&buf));
	cr_expect_str_eq(buf_str(&buf), text);
	buf_reset(&buf);
	jsonw_init(&w, &buf);
}

Test(jsonw, puts_commas_where_they_belong)
{
	jsonw_object(&w);
	jsonw_kv(&w, "a", "x");
	jsonw_key(&w, "b");
	jsonw_array(&w);
	jsonw_int(&w, 1);
	jsonw_array(&w);
	jsonw_end_array(&w);
	jsonw_object(&w);
	jsonw_end_object(&w);
	jsonw_null(&w);
	jsonw_end_array(&w);
	jsonw_kv_int(&w, "c", -5);
	jsonw_kv_bool(&w, "d", true);
	jsonw_key(&w, "e");
	jsonw_raw(&w, "{\"f\": 1}", 8);
	jsonw_kv(&w, "g", NULL);
	jsonw_end_object(&w);
	expect("{\"a\":\"x\",\"b\":[1,[],{},null],\"c\":-5,\"d\":true,"
	       "\"e\":{\"f\": 1},\"g\":null}");
}

Test(jsonw, escapes_what_rfc_8259_wants_and_no_more)
{
	jsonw_string(&w, "a\"b\\c/d\b\f\n\r\t\x01\x1f\x7f");
	expect("\"a\\\"b\\\\c/d\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\"");
	jsonw_string_len(&w, "a\0b", 3);
	expect("\"a\\u0000b\"");
	jsonw_string(&w, "");
	expect("\"\"");
	jsonw_string(&w, "\xc3\xa9\xf0\x9f\x98\x80");
	expect("\"\xc3\xa9\xf0\x9f\x98\x80\"");
	jsonw_object(&w);
	jsonw_kv(&w, "a\"\n", "b");
	jsonw_end_object(&w);
	expect("{\"a\\\"\\n\":\"b\"}");
}

Test(jsonw, invalid_utf8_becomes_a_replacement_character)
{
	jsonw_string(&w, "a\xff\"b\xc3");
	expect("\"a\xef\xbf\xbd\\\"b\xef\xbf\xbd\"");
	jsonw_string(&w, "\xed\xa0\x80");
	expect("\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}

/* How a byte stands in a string, told one by one. */
static const char *
escaped(int byte, char out[8])
{
	static const char short_ones[] = "\"\"\\\\\bb\ff\nn\rr\tt";

	for (size_t i = 0; i < sizeof(short_ones) - 1; i += 2) {
		if (short_ones[i] != byte)
			continue;
		(void)snprintf(out, 8, "\\%c", short_ones[i + 1]);
		return out;
	}
	if (byte < ' ')
		(void)snprintf(out, 8, "\\u%04x", (unsigned)byte);
	else if (byte < 0x80)
		(void)snprintf(out, 8, "%c", byte);
	else
		(void)snprintf(out, 8, "\xef\xbf\xbd");
	return out;
}

Test(jsonw, every_byte_is_escaped_wherever_it_stands)
{
	char text[28], one[8];
	struct buf wanted;

	buf_init(&wanted, 256);
	for (int byte = 0; byte < 256; byte++) {
		for (size_t at = 0; at < sizeof(text); at++) {
			memset(text, '!', sizeof(text));
			text[at] = (char)byte;
			buf_reset(&wanted);
			buf_addf(&wanted, "\"%.*s%s%.*s\"", (int)at,
			    "!!!!!!!!!!!!!!!!!!!!!!!!!!!!", escaped(byte, one),
			    (int)(sizeof(text) - at - 1),
			    "!!!!!!!!!!!!!!!!!!!!!!!!!!!!");
			jsonw_string_len(&w, text, sizeof(text));
			expect(buf_str(&wanted));
		}
	}
	buf_fini(&wanted);
}

Test(jsonw, characters_of_several_bytes_do_not_hide_what_is_special)
{
	jsonw_string(&w,
	    "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\"\xc3\xa9 plain text");
	expect("\"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\\\"\xc3\xa9 plain text\"");
}

Test(jsonw, writes_integers_of_64_bits)
{
	jsonw_array(&w);
	jsonw_int(&w, INT64_MIN);
	jsonw_int(&w, -10);
	jsonw_int(&w, 0);
	jsonw_int(&w, INT64_MAX);
	jsonw_end_array(&w);
	expect("[-9223372036854775808,-10,0,9223372036854775807]");
}

Test(jsonw, a_value_can_be_written_again)
{
	size_t begin;

	jsonw_object(&w);
	jsonw_key(&w, "a");
	begin = buf.len;
	jsonw_array(&w);
	jsonw_string(&w, "x");
	jsonw_end_array(&w);
	jsonw_key(&w, "b");
	jsonw_again(&w, begin, 5);
	jsonw_kv_int(&w, "c", 1);
	jsonw_end_object(&w);
	expect("{\"a\":[\"x\"],\"b\":[\"x\"],\"c\":1}");
}

static void
expect_double(double value, const char *text)
{
	jsonw_double(&w, value);
	expect(text);
}

Test(jsonw, doubles_are_short_and_read_back)
{
	static const double hard[] = { 0.1 + 0.2, 1.0 / 3, 5e-324, 1e23,
		1.7976931348623157e308, 123456789.123456789 };

	expect_double(0, "0");
	expect_double(0.1, "0.1");
	expect_double(-2.5, "-2.5");
	expect_double(100000, "100000");
	expect_double(0.3, "0.3");
	expect_double(0.1 + 0.2, "0.30000000000000004");
	expect_double(1e300, "1e+300");
	for (size_t i = 0; i < sizeof(hard) / sizeof(hard[0]); i++) {
		jsonw_double(&w, hard[i]);
		cr_expect(strtod(buf_str(&buf), NULL) >= hard[i] &&
			  strtod(buf_str(&buf), NULL) <= hard[i]);
		buf_reset(&buf);
		jsonw_init(&w, &buf);
	}
}

Test(jsonw, what_is_not_finite_is_null)
{
	jsonw_array(&w);
	jsonw_double(&w, (double)NAN);
	jsonw_double(&w, (double)INFINITY);
	jsonw_double(&w, (double)-INFINITY);
	jsonw_double(&w, 1.5);
	jsonw_end_array(&w);
	expect("[null,null,null,1.5]");
}

static void
expect_usd(int64_t pico, const char *text)
{
	jsonw_usd(&w, pico);
	expect(text);
}

Test(jsonw, dollars_are_exact)
{
	expect_usd(0, "0");
	expect_usd(1, "0.000000000001");
	expect_usd(1500000, "0.0000015");
	expect_usd(150000, "0.00000015");
	expect_usd(1000000000000, "1");
	expect_usd(10000000000000, "10");
	expect_usd(1010000000000, "1.01");
	expect_usd(INT64_MAX, "9223372.036854775807");
	expect_usd(-1, "null");
	jsonw_array(&w);
	jsonw_usd(&w, 1500000);
	jsonw_usd(&w, -5);
	jsonw_usd(&w, 2000000000000);
	jsonw_end_array(&w);
	expect("[0.0000015,null,2]");
}

Test(jsonw, a_full_buffer_stays_failed_and_is_not_written_past)
{
	for (size_t max = 0; max < 60; max++) {
		struct buf small;

		buf_init(&small, max);
		jsonw_init(&w, &small);
		jsonw_array(&w);
		jsonw_usd(&w, 1500000);
		jsonw_double(&w, 0.1 + 0.2);
		jsonw_string(&w, "a\n\xff");
		jsonw_end_array(&w);
		cr_expect_eq(buf_ok(&small), max >= 40, "%zu", max);
		cr_expect_leq(small.len, max);
		buf_fini(&small);
	}
}
