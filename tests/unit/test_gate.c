/*
 * test_gate.c - the strict check of JSON texts.
 */
#include "json/gate.h"

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "failing.h"

static const struct gate_limits limits = { .depth = 64, .keys = 1000 };

struct vector {
	const char *text;
	size_t len;
	enum gate_fault fault;
	size_t offset;
};

#define V(text, fault, offset)                        \
	{                                             \
		text, sizeof(text) - 1, fault, offset \
	}

/* clang-format off */
static const struct vector refused[] = {
	/* nothing */
	V("",                              GATE_EMPTY, 0),
	V(" \t\r\n",                       GATE_EMPTY, 4),
	/* not JSON */
	V("{'a':1}",                       GATE_SYNTAX, 1),
	V("{\"a\":'b'}",                   GATE_SYNTAX, 5),
	V("{a:1}",                         GATE_SYNTAX, 1),
	V("/* c */{}",                     GATE_SYNTAX, 0),
	V("[1, // c\n2]",                  GATE_SYNTAX, 4),
	V("[NaN]",                         GATE_SYNTAX, 1),
	V("[nan]",                         GATE_SYNTAX, 1),
	V("[Infinity]",                    GATE_SYNTAX, 1),
	V("[-Infinity]",                   GATE_SYNTAX, 2),
	V("[True]",                        GATE_SYNTAX, 1),
	V("[nul]",                         GATE_SYNTAX, 1),
	V("[undefined]",                   GATE_SYNTAX, 1),
	V("[01]",                          GATE_SYNTAX, 2),
	V("[-01]",                         GATE_SYNTAX, 3),
	V("01",                            GATE_SYNTAX, 1),
	V("-",                             GATE_SYNTAX, 1),
	V("[-]",                           GATE_SYNTAX, 2),
	V("[--1]",                         GATE_SYNTAX, 2),
	V("[+1]",                          GATE_SYNTAX, 1),
	V("[1.]",                          GATE_SYNTAX, 3),
	V("[.5]",                          GATE_SYNTAX, 1),
	V("[1e]",                          GATE_SYNTAX, 3),
	V("[1e+]",                         GATE_SYNTAX, 4),
	V("[0x10]",                        GATE_SYNTAX, 2),
	V("[1,]",                          GATE_SYNTAX, 3),
	V("[,1]",                          GATE_SYNTAX, 1),
	V("[1 2]",                         GATE_SYNTAX, 3),
	V("[1}",                           GATE_SYNTAX, 2),
	V("{\"a\":1]",                     GATE_SYNTAX, 6),
	V("{\"a\":1,}",                    GATE_SYNTAX, 7),
	V("{,}",                           GATE_SYNTAX, 1),
	V("{\"a\" 1}",                     GATE_SYNTAX, 5),
	V("{\"a\"}",                       GATE_SYNTAX, 4),
	V("{1:2}",                         GATE_SYNTAX, 1),
	V("[\"\\x41\"]",                   GATE_SYNTAX, 2),
	V("[\"\\u12g4\"]",                 GATE_SYNTAX, 2),
	V("[\"\\'\"]",                     GATE_SYNTAX, 2),
	V("[\"\\\0\"]",                    GATE_SYNTAX, 2),
	V("[\f1]",                         GATE_SYNTAX, 1),
	V("\xef\xbb\xbf{}",                GATE_SYNTAX, 0),
	V("[\xc2\xa0]",                    GATE_SYNTAX, 1),
	V("[1\0]",                         GATE_SYNTAX, 2),
	V("\0",                            GATE_SYNTAX, 0),
	/* invalid UTF-8: in text, in a key, beside */
	V("\"\x80\"",                      GATE_UTF8, 1),
	V("\"\xc0\x80\"",                  GATE_UTF8, 1),
	V("\"\xc1\xbf\"",                  GATE_UTF8, 1),
	V("\"\xe0\x80\x80\"",              GATE_UTF8, 1),
	V("\"\xe0\x9f\xbf\"",              GATE_UTF8, 1),
	V("\"\xf0\x8f\xbf\xbf\"",          GATE_UTF8, 1),
	V("\"\xed\xa0\x80\"",              GATE_UTF8, 1),
	V("\"\xed\xbf\xbf\"",              GATE_UTF8, 1),
	V("\"\xf4\x90\x80\x80\"",          GATE_UTF8, 1),
	V("\"\xf5\x80\x80\x80\"",          GATE_UTF8, 1),
	V("\"\xff\"",                      GATE_UTF8, 1),
	V("\"ab\xc3\"",                    GATE_UTF8, 3),
	V("\"\xe2\x82\"",                  GATE_UTF8, 1),
	V("{\"k\xc3(\":1}",                GATE_UTF8, 3),
	V("\"long enough for words \xc3(\"", GATE_UTF8, 23),
	V("[1] \xff",                      GATE_UTF8, 4),
	/* what PostgreSQL cannot hold */
	V("[\"\\u0000\"]",                 GATE_NUL, 2),
	V("{\"role\\u0000x\":1}",          GATE_NUL, 6),
	V("\"\\ud800\"",                   GATE_SURROGATE, 1),
	V("\"\\udc00\"",                   GATE_SURROGATE, 1),
	V("\"\\uDFFF\\uD800\"",            GATE_SURROGATE, 1),
	V("\"\\ud800\\u0041\"",            GATE_SURROGATE, 1),
	V("\"\\ud800\\ud800\"",            GATE_SURROGATE, 1),
	V("\"\\ud83d x\"",                 GATE_SURROGATE, 1),
	V("\"\\ud83d\\udc\"",              GATE_SURROGATE, 1),
	/* raw control characters */
	V("\"a\nb\"",                      GATE_CONTROL, 2),
	V("\"a\tb\"",                      GATE_CONTROL, 2),
	V("\"a\0b\"",                      GATE_CONTROL, 2),
	V("\"0123456789abcde\x1f\"",       GATE_CONTROL, 16),
	V("{\"a\rb\":1}",                  GATE_CONTROL, 3),
	/* numbers */
	V("[1e400]",                       GATE_NUMBER, 1),
	V("[-1e309]",                      GATE_NUMBER, 1),
	V("[1e-401]",                      GATE_NUMBER, 1),
	V("[1e-20000]",                    GATE_NUMBER, 1),
	V("[0e99999999999999999999]",      GATE_NUMBER, 1),
	V("[123456789012345678901234567890123]", GATE_NUMBER, 1),
	V("[0.12345678901234567890123456789012]", GATE_NUMBER, 1),
	/* the same key twice, however it is spelled */
	V("{\"a\":1,\"a\":2}",             GATE_DUPLICATE, 7),
	V("{\"a\":1,\"\\u0061\":2}",       GATE_DUPLICATE, 7),
	V("{\"\\u0061\":1,\"a\":2}",       GATE_DUPLICATE, 12),
	V("{\"\\u00e9\":1,\"\xc3\xa9\":2}", GATE_DUPLICATE, 12),
	V("{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":2}",
					   GATE_DUPLICATE, 18),
	V("{\"\\/\":1,\"/\":2}",           GATE_DUPLICATE, 8),
	V("{\"\\n\":1,\"\\u000A\":2}",     GATE_DUPLICATE, 8),
	V("{\"\":1,\"\":2}",               GATE_DUPLICATE, 6),
	V("{\"b\":{\"a\":1},\"b\":2}",     GATE_DUPLICATE, 13),
	V("[{\"x\":{\"a\":1,\"a\":1}}]",   GATE_DUPLICATE, 13),
	V("{\"long_name_one\":1,\"long_name_one\":2}", GATE_DUPLICATE, 19),
	/* more than one value */
	V("{} {}",                         GATE_TRAILING, 3),
	V("{}x",                           GATE_TRAILING, 2),
	V("1 2",                           GATE_TRAILING, 2),
	V("nullx",                         GATE_TRAILING, 4),
	V("[]]",                           GATE_TRAILING, 2),
	V("{}\0",                          GATE_TRAILING, 2),
	V("{};",                           GATE_TRAILING, 2),
};

static const struct vector taken[] = {
	V("{}", GATE_OK, 2),
	V(" [ ] ", GATE_OK, 5),
	V("null", GATE_OK, 4),
	V("true", GATE_OK, 4),
	V("0", GATE_OK, 1),
	V("-0", GATE_OK, 2),
	V("[-0.0e-0, 1E5, 1e+5, 12.5]", GATE_OK, 26),
	V("[1e308, -1e308, 1e-400]", GATE_OK, 23),
	V("12345678901234567890123456789012", GATE_OK, 32),
	V("\"\"", GATE_OK, 2),
	V("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0001\\uFFFF\"", GATE_OK, 30),
	V("\"\\ud83d\\ude00\"", GATE_OK, 14),
	V("\"\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\"",
	    GATE_OK, 16),
	V("\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"", GATE_OK, 10),
	V("{\"a\":{\"a\":1},\"b\":{\"a\":1}}", GATE_OK, 25),
	V("[{\"a\":1},{\"a\":1}]", GATE_OK, 17),
	V("{\"long_name_one\":1,\"long_name_two\":2}", GATE_OK, 37),
	V("{\"long_name_1\":1,\"long_name_\\u0032\":2}", GATE_OK, 38),
	V("{\"a\":1,\"ab\":2,\"A\":3,\"\":4,\"\\n\":5,\"\\\\n\":6}",
	    GATE_OK, 41),
	V("\r\n{\t\"a\" :\n[ 1 , 2 ] }\r\n", GATE_OK, 24),
};
/* clang-format on */

/* From memory of just that size, so that reading past it is seen. */
static struct gate_result
check_tight(const char *text, size_t len, const struct gate_limits *within)
{
	char *copy = malloc(len == 0 ? 1 : len);
	struct gate_result result;

	cr_assert_not_null(copy);
	memcpy(copy, text, len);
	result = gate_check(copy, len, within);
	free(copy);
	return result;
}

Test(gate, refuses_what_is_not_strict_json_and_says_where)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		const struct vector *v = &refused[i];
		struct gate_result r = check_tight(v->text, v->len, &limits);

		cr_expect_eq(r.fault, v->fault, "%s: %s", v->text,
		    gate_fault_text(r.fault));
		cr_expect_eq(r.offset, v->offset, "%s: at %zu", v->text,
		    r.offset);
	}
}

Test(gate, takes_what_rfc_8259_allows)
{
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
		const struct vector *v = &taken[i];
		struct gate_result r = check_tight(v->text, v->len, &limits);

		cr_expect_eq(r.fault, GATE_OK, "%s: %s at %zu", v->text,
		    gate_fault_text(r.fault), r.offset);
		cr_expect_eq(r.offset, v->len, "%s", v->text);
	}
}

Test(gate, refuses_every_truncation)
{
	static const char text[] =
	    "{\"a\":[1.5e3,true,false,null,\"x\\n"
	    "\\ud83d\\ude00\xc3\xa9\"],\"b\":{\"c\":-12}}";

	for (size_t len = 0; len < sizeof(text) - 1; len++) {
		struct gate_result r = check_tight(text, len, &limits);

		cr_expect_neq(r.fault, GATE_OK, "at %zu", len);
		cr_expect_leq(r.offset, len);
	}
	cr_expect_eq(gate_check(text, sizeof(text) - 1, &limits).fault,
	    GATE_OK);
}

static void
repeat(struct buf *out, const char *text, int times)
{
	for (int i = 0; i < times; i++)
		buf_adds(out, text);
}

static enum gate_fault
check_nested(const char *open, const char *close, int depth)
{
	enum gate_fault fault;
	struct buf text;

	buf_init(&text, 1 << 20);
	repeat(&text, open, depth);
	buf_adds(&text, "1");
	repeat(&text, close, depth);
	cr_assert(buf_ok(&text));
	fault = gate_check(text.data, text.len, &limits).fault;
	buf_fini(&text);
	return fault;
}

Test(gate, allows_as_many_levels_as_the_limit)
{
	cr_expect_eq(check_nested("[", "]", 64), GATE_OK);
	cr_expect_eq(check_nested("[", "]", 65), GATE_DEPTH);
	cr_expect_eq(check_nested("{\"a\":", "}", 64), GATE_OK);
	cr_expect_eq(check_nested("{\"a\":", "}", 65), GATE_DEPTH);
	cr_expect_eq(check_nested("[", "]", 100000), GATE_DEPTH);
}

Test(gate, a_limit_beyond_its_own_is_taken_as_its_own)
{
	const struct gate_limits deep = { .depth = 1 << 30, .keys = 1 };
	char text[2 * (GATE_DEPTH_MAX + 1)];

	memset(text, '[', sizeof(text) / 2);
	memset(text + sizeof(text) / 2, ']', sizeof(text) / 2);
	cr_expect_eq(gate_check(text + 1, sizeof(text) - 2, &deep).fault,
	    GATE_OK);
	cr_expect_eq(gate_check(text, sizeof(text), &deep).fault, GATE_DEPTH);
}

/* An object of count keys, the last one called last when that is given. */
static void
add_object(struct buf *out, int count, const char *last)
{
	buf_addc(out, '{');
	for (int i = 0; i < count; i++) {
		/* 7919 is prime: all are different, in no order. */
		buf_addf(out, "%s\"some_key_%05d\":%d", i > 0 ? "," : "",
		    i * 7919 % 100003, i);
	}
	if (last != NULL)
		buf_addf(out, ",\"%s\":0", last);
	buf_addc(out, '}');
}

static struct gate_result
check_object(int count, const char *last)
{
	const struct gate_limits many = { .depth = 2, .keys = 20000 };
	struct gate_result result;
	struct buf text;

	buf_init(&text, 1 << 20);
	add_object(&text, count, last);
	cr_assert(buf_ok(&text));
	result = gate_check(text.data, text.len, &many);
	if (result.fault == GATE_DUPLICATE)
		cr_expect_str_eq(text.data + result.offset,
		    strrchr(text.data, ',') + 1);
	buf_fini(&text);
	return result;
}

Test(gate, finds_a_duplicate_in_an_object_of_any_size)
{
	static const int sizes[] = { 1, 30, 31, 32, 33, 34, 64, 65, 10000 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int count = sizes[i];

		cr_expect_eq(check_object(count, NULL).fault, GATE_OK);
		cr_expect_eq(check_object(count, "some_key").fault, GATE_OK);
		cr_expect_eq(check_object(count, "some_key_00000").fault,
		    GATE_DUPLICATE, "%d", count);
		cr_expect_eq(check_object(count, "som\\u0065_key_00000").fault,
		    GATE_DUPLICATE, "%d", count);
		cr_expect_eq(check_object(count, "some_key_\\u00e9").fault,
		    GATE_OK, "%d", count);
	}
}

Test(gate, a_large_object_inside_does_not_hide_the_outer_keys)
{
	struct gate_result result;
	struct buf text;

	buf_init(&text, 1 << 20);
	buf_adds(&text, "{\"a\":");
	add_object(&text, 100, NULL);
	buf_adds(&text, ",\"b\":");
	add_object(&text, 100, NULL);
	buf_adds(&text, ",\"a\":1}");
	result = gate_check(text.data, text.len, &limits);
	cr_expect_eq(result.fault, GATE_DUPLICATE);
	cr_expect_eq(result.offset, text.len - strlen("\"a\":1}"));
	buf_fini(&text);
}

Test(gate, counts_the_keys_of_all_objects)
{
	const struct gate_limits three = { .depth = 9, .keys = 3 };
	static const char ok[] = "[{\"a\":1,\"b\":{}},{\"a\":1}]";
	static const char more[] = "[{\"a\":1,\"b\":{\"c\":1}},{\"a\":1}]";

	cr_expect_eq(gate_check(ok, strlen(ok), &three).fault, GATE_OK);
	cr_expect_eq(gate_check(more, strlen(more), &three).fault, GATE_KEYS);
}

Test(gate, weighs_containers_more_than_scalars)
{
	struct gate_limits few = { .depth = 9, .keys = 9 };
	static const char text[] = "[1,2,{}]";

	few.values = 2 * GATE_CONTAINER_WEIGHT + 2;
	cr_expect_eq(gate_check(text, strlen(text), &few).fault, GATE_OK);
	few.values--;
	cr_expect_eq(gate_check(text, strlen(text), &few).fault, GATE_VALUES);
	few.values = 1;
	cr_expect_eq(gate_check("1", 1, &few).fault, GATE_OK);
	cr_expect_eq(gate_check("[]", 2, &few).fault, GATE_VALUES);
}

Test(gate, refuses_a_text_too_long_for_its_offsets)
{
	cr_expect_eq(gate_check("1", (size_t)1 << 31, &limits).fault,
	    GATE_MEMORY);
}

Test(gate, spans_say_where_each_value_lies)
{
	static const char text[] = " {\"a\": [1, \"x\"], \"b\":{} } ";
	static const struct gate_span expected[] = {
		{ 1, 25, 5, 2 },
		{ 7, 15, 3, 2 },
		{ 8, 9, 1, 0 },
		{ 11, 14, 1, 0 },
		{ 21, 23, 1, 0 },
	};
	struct gate_spans spans;
	struct gate_result result;

	result = gate_check_spans(text, strlen(text), &limits, &spans);
	cr_assert_eq(result.fault, GATE_OK);
	cr_assert_eq(spans.count, 5);
	cr_expect_eq(spans.depth, 2);
	for (size_t i = 0; i < 5; i++) {
		cr_expect_eq(spans.list[i].start, expected[i].start);
		cr_expect_eq(spans.list[i].end, expected[i].end);
		cr_expect_eq(spans.list[i].size, expected[i].size);
		cr_expect_eq(spans.list[i].count, expected[i].count);
	}
	gate_spans_fini(&spans);
}

Test(gate, spans_grow_past_the_few)
{
	struct gate_spans spans;
	struct buf text;

	buf_init(&text, 1 << 20);
	buf_adds(&text, "[0");
	repeat(&text, ",[1]", 1000);
	buf_adds(&text, "]");
	cr_assert_eq(gate_check_spans(text.data, text.len, &limits, &spans)
			 .fault,
	    GATE_OK);
	cr_expect_eq(spans.count, 2002);
	cr_expect_eq(spans.list[0].size, 2002);
	cr_expect_eq(spans.list[0].count, 1001);
	cr_expect_eq(spans.list[2001].start, text.len - 3);
	gate_spans_fini(&spans);
	gate_spans_fini(&spans); /* twice is harmless */
	buf_fini(&text);
}

Test(gate, every_fault_has_its_own_text)
{
	for (int i = 0; i < GATE_FAULT_COUNT; i++) {
		const char *text = gate_fault_text((enum gate_fault)i);

		cr_assert_not_null(text, "%d", i);
		for (int k = 0; k < i; k++)
			cr_expect_str_neq(text,
			    gate_fault_text((enum gate_fault)k));
	}
	cr_expect_not_null(gate_fault_text(GATE_FAULT_COUNT));
}

Test(gate, out_of_memory_is_a_fault_of_its_own)
{
	struct gate_result result;
	struct gate_spans spans;
	struct buf text;
	bool hit = true;

	buf_init(&text, 1 << 20);
	add_object(&text, 400, NULL);
	for (long passes = 0; hit; passes++) {
		failing_after(passes);
		result = gate_check_spans(text.data, text.len, &limits, &spans);
		hit = failing_stop();
		gate_spans_fini(&spans);
		/* Sorting does without when it gets no memory. */
		cr_expect(result.fault == GATE_OK ||
			  (hit && result.fault == GATE_MEMORY));
		cr_assert_lt(passes, 100);
	}
	cr_expect_eq(result.fault, GATE_OK);
	buf_fini(&text);
}
