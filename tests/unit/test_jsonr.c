/*
 * test_jsonr.c - reading JSON values.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "failing.h"
#include "json/read.h"

static struct arena *arena;

static void
setup(void)
{
	arena = arena_new();
	cr_assert_not_null(arena);
}

static void
teardown(void)
{
	arena_free(arena);
}

TestSuite(jsonr, .init = setup, .fini = teardown);

static struct jsonr *
parse(const char *text)
{
	struct gate_result why;
	struct jsonr *value = NULL;

	cr_assert_eq(jsonr_parse(arena, text, strlen(text), &value, &why), OK,
	    "%s: %s", text, gate_fault_text(why.fault));
	cr_assert_eq(why.fault, GATE_OK);
	return value;
}

static void
expect_raw(const struct jsonr *value, const char *expected)
{
	const char *text;
	size_t len;

	jsonr_raw(value, &text, &len);
	cr_expect_eq(len, strlen(expected), "%.*s", (int)len, text);
	cr_expect(strncmp(text, expected, len) == 0, "%.*s is not %s", (int)len,
	    text, expected);
}

Test(jsonr, refuses_what_the_gate_refuses_and_says_why)
{
	static const char text[] = "{\"a\":1,\"a\":2}";
	struct gate_result why;
	struct jsonr *value;

	cr_expect_eq(jsonr_parse(arena, text, strlen(text), &value, &why),
	    ERR_INPUT);
	cr_expect_eq(why.fault, GATE_DUPLICATE);
	cr_expect_eq(why.offset, 7);
	cr_expect_null(value);
	cr_expect_eq(jsonr_parse(arena, "", 0, &value, NULL), ERR_INPUT);
	cr_expect_eq(jsonr_parse(arena, "1", (size_t)1 << 31, &value, NULL),
	    ERR_MEMORY);
}

Test(jsonr, reads_only_len_bytes)
{
	struct jsonr *value;
	int64_t number;

	cr_assert_eq(jsonr_parse(arena, "123456", 3, &value, NULL), OK);
	cr_assert_eq(jsonr_int(value, 0, 1000, &number), OK);
	cr_expect_eq(number, 123);
}

Test(jsonr, tells_the_kinds_apart)
{
	static const enum jsonr_kind kinds[] = { JSONR_NULL, JSONR_BOOL,
		JSONR_BOOL, JSONR_NUMBER, JSONR_NUMBER, JSONR_STRING,
		JSONR_ARRAY, JSONR_OBJECT };
	struct jsonr *list = parse("[null,true,false,-1,2.5,\"null\",[],{}]");

	cr_assert_eq(jsonr_count(list), 8);
	for (size_t i = 0; i < 8; i++)
		cr_expect_eq(jsonr_kind(jsonr_at(list, i)), kinds[i]);
	cr_expect_null(jsonr_at(list, 8));
	cr_expect_eq(jsonr_kind(NULL), JSONR_NULL);
}

Test(jsonr, reads_a_scalar_at_the_top)
{
	int64_t number;
	bool yes = false;
	const char *text;

	cr_expect_eq(jsonr_kind(parse("null")), JSONR_NULL);
	cr_expect_eq(jsonr_bool(parse(" true "), &yes), OK);
	cr_expect(yes);
	cr_expect_eq(jsonr_int(parse("12"), 0, 99, &number), OK);
	cr_expect_eq(number, 12);
	cr_expect_eq(jsonr_string(parse("\"x\""), &text, NULL), OK);
	cr_expect_str_eq(text, "x");
}

Test(jsonr, finds_members_by_their_decoded_name)
{
	struct jsonr *object =
	    parse("{\"a\":1,\"\\u0062\":{\"c\":null},\"\":3}");

	expect_raw(jsonr_get(object, "a"), "1");
	expect_raw(jsonr_get(object, "b"), "{\"c\":null}");
	expect_raw(jsonr_get(object, ""), "3");
	cr_expect_not_null(jsonr_get(jsonr_get(object, "b"), "c"));
	cr_expect_null(jsonr_get(object, "c"));
	cr_expect_null(jsonr_get(jsonr_get(object, "a"), "a"));
	cr_expect_null(jsonr_get(NULL, "a"));
	cr_expect_null(jsonr_at(object, 0));
	cr_expect_null(jsonr_at(NULL, 0));
}

Test(jsonr, lists_members_in_the_order_of_the_text)
{
	struct jsonr *object = parse("{\"z\":1,\"a\":[2,[3]],\"m\":4}");
	static const char *const keys[] = { "z", "a", "m" };
	const char *key = NULL;

	cr_assert_eq(jsonr_count(object), 3);
	for (size_t i = 0; i < 3; i++) {
		cr_assert_not_null(jsonr_member(object, i, &key));
		cr_expect_str_eq(key, keys[i]);
	}
	cr_expect_null(jsonr_member(object, 3, &key));
	cr_expect_null(jsonr_member(jsonr_get(object, "a"), 0, &key));
	cr_expect_null(jsonr_member(NULL, 0, &key));
	cr_expect_eq(jsonr_count(jsonr_get(object, "z")), 0);
	cr_expect_eq(jsonr_count(NULL), 0);
}

Test(jsonr, raw_is_the_text_as_it_came_at_any_depth)
{
	struct jsonr *root =
	    parse(" {\"a\" : [ 1.50 , {\"b\":\"\\u00e9\"} ],"
		  "\"n\":-0.0,\"big\":12345678901234567890123} ");
	struct jsonr *list = jsonr_get(root, "a");

	expect_raw(list, "[ 1.50 , {\"b\":\"\\u00e9\"} ]");
	expect_raw(jsonr_at(list, 0), "1.50");
	expect_raw(jsonr_at(list, 1), "{\"b\":\"\\u00e9\"}");
	expect_raw(jsonr_get(jsonr_at(list, 1), "b"), "\"\\u00e9\"");
	expect_raw(jsonr_get(root, "n"), "-0.0");
	expect_raw(jsonr_get(root, "big"), "12345678901234567890123");
	expect_raw(NULL, "null");
	cr_expect_str_eq(jsonr_text(jsonr_at(list, 1)), "{\"b\":\"\\u00e9\"}");
	cr_expect_str_eq(jsonr_text(list), "[ 1.50 , {\"b\":\"\\u00e9\"} ]");
	cr_expect_null(jsonr_text(NULL));
}

Test(jsonr, the_text_may_go_once_parsed)
{
	char *text = strdup("{\"a\":\"b\"}");
	struct jsonr *root = parse(text);
	const char *out;

	memset(text, 'x', strlen(text));
	free(text);
	expect_raw(root, "{\"a\":\"b\"}");
	cr_assert_eq(jsonr_string(jsonr_get(root, "a"), &out, NULL), OK);
	cr_expect_str_eq(out, "b");
}

Test(jsonr, decodes_strings)
{
	const char *text;
	size_t len;

	cr_assert_eq(jsonr_string(parse("\"a\\\"\\\\\\/\\b\\f\\n\\r\\t"
					"\\u00e9\\ud83d\\ude00\xc3\xa9\""),
			 &text, &len),
	    OK);
	cr_expect_str_eq(text,
	    "a\"\\/\b\f\n\r\t\xc3\xa9\xf0\x9f\x98\x80\xc3\xa9");
	cr_expect_eq(len, strlen(text));
}

Test(jsonr, getters_never_coerce)
{
	static const char *const texts[] = { "null", "true", "1", "1.5",
		"\"1\"", "\"true\"", "[1]", "{}" };
	const char *text = "kept";
	int64_t number = 7;
	bool yes = true;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct jsonr *value = parse(texts[i]);
		enum jsonr_kind kind = jsonr_kind(value);

		if (kind != JSONR_STRING)
			cr_expect_eq(jsonr_string(value, &text, NULL),
			    ERR_INPUT);
		if (kind != JSONR_BOOL)
			cr_expect_eq(jsonr_bool(value, &yes), ERR_INPUT);
		if (kind != JSONR_NUMBER)
			cr_expect_eq(jsonr_int(value, 0, 9, &number),
			    ERR_INPUT);
	}
	cr_expect_eq(jsonr_string(NULL, &text, NULL), ERR_INPUT);
	cr_expect_eq(jsonr_bool(NULL, &yes), ERR_INPUT);
	cr_expect_eq(jsonr_int(NULL, 0, 9, &number), ERR_INPUT);
	cr_expect_str_eq(text, "kept");
	cr_expect(yes && number == 7);
}

Test(jsonr, integers_are_refused_not_clamped)
{
	static const char *const bad[] = { "1.0", "1e3", "1E0", "-1.5",
		"9223372036854775808", "-9223372036854775809",
		"18446744073709551615", "18446744073709551616",
		"99999999999999999999999999999999" };
	int64_t number = 7;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(jsonr_int(parse(bad[i]), INT64_MIN, INT64_MAX,
				 &number),
		    ERR_INPUT, "%s", bad[i]);
	cr_expect_eq(jsonr_int(parse("201"), 1, 200, &number), ERR_INPUT);
	cr_expect_eq(jsonr_int(parse("0"), 1, 200, &number), ERR_INPUT);
	cr_expect_eq(number, 7);
	cr_expect_eq(jsonr_int(parse("[9223372036854775807]"), 0, 1, &number),
	    ERR_INPUT);
	cr_expect_eq(jsonr_int(jsonr_at(parse("[9223372036854775807]"), 0), 0,
			 INT64_MAX, &number),
	    OK);
	cr_expect_eq(number, INT64_MAX);
	cr_expect_eq(jsonr_int(parse("-9223372036854775808"), INT64_MIN, 0,
			 &number),
	    OK);
	cr_expect_eq(number, INT64_MIN);
	cr_expect_eq(jsonr_int(parse("-0"), 0, 0, &number), OK);
	cr_expect_eq(number, 0);
}

Test(jsonr, every_level_that_the_gate_allows_is_read)
{
	const struct gate_limits deep = { .depth = GATE_DEPTH_MAX,
		.keys = 1000 };
	struct jsonr *value;
	struct buf text;
	int64_t number = 0;

	buf_init(&text, 1 << 16);
	for (int i = 0; i < GATE_DEPTH_MAX; i++)
		buf_adds(&text, i % 2 == 0 ? "[" : "{\"a\":");
	buf_adds(&text, "5");
	for (int i = GATE_DEPTH_MAX - 1; i >= 0; i--)
		buf_adds(&text, i % 2 == 0 ? "]" : "}");
	cr_assert_eq(jsonr_parse(arena, text.data, text.len, &value, NULL),
	    ERR_INPUT);
	cr_assert_eq(jsonr_parse_within(arena, text.data, text.len, &deep,
			 &value, NULL),
	    OK);
	for (int i = 0; i < GATE_DEPTH_MAX; i++)
		value = i % 2 == 0 ? jsonr_at(value, 0) : jsonr_get(value, "a");
	cr_expect_eq(jsonr_int(value, 5, 5, &number), OK);
	buf_fini(&text);
}

Test(jsonr, reads_long_lists)
{
	struct jsonr *list;
	struct buf text;
	int64_t number;

	buf_init(&text, 1 << 20);
	for (int i = 0; i < 5000; i++)
		buf_addf(&text, "%s{\"i\":[%d]}", i == 0 ? "[" : ",", i);
	buf_adds(&text, "]");
	list = parse(text.data);
	cr_assert_eq(jsonr_count(list), 5000);
	for (int i = 0; i < 5000; i++) {
		number = -1;
		cr_expect_eq(jsonr_int(jsonr_at(jsonr_get(jsonr_at(list,
							      (size_t)i),
						    "i"),
					   0),
				 0, 5000, &number),
		    OK);
		cr_expect_eq(number, i);
	}
	buf_fini(&text);
}

Test(jsonr, limits_are_those_that_the_header_states)
{
	cr_expect_eq(jsonr_limits.depth, 64);
	cr_expect_eq(jsonr_limits.keys, 10000);
	cr_expect_gt(jsonr_limits.values, 0);
	cr_expect_gt(strlen(read_library_version()), 2);
}

/* Parses with passes allocations that work; true if none was refused. */
static bool
parse_starved(const char *text, long passes)
{
	struct arena *own = arena_new();
	struct jsonr *value = NULL;
	enum err err;
	bool hit;

	cr_assert_not_null(own);
	failing_after(passes);
	err = jsonr_parse(own, text, strlen(text), &value, NULL);
	hit = failing_stop();
	cr_expect(err == OK || (hit && err == ERR_MEMORY), "%ld: %s", passes,
	    err_name(err));
	cr_expect_eq(value != NULL, err == OK, "%ld", passes);
	arena_free(own);
	return !hit;
}

Test(jsonr, out_of_memory_is_an_error_wherever_it_happens)
{
	struct buf text;
	long passes = 0;

	buf_init(&text, 1 << 20);
	buf_adds(&text, "[0");
	for (int i = 0; i < 70; i++)
		buf_addf(&text, ",{\"text %d\":[{},\"name\"]}", i);
	buf_adds(&text, ",null]");
	while (!parse_starved(text.data, passes))
		passes++;
	cr_expect_gt(passes, 100);
	for (passes = 0; !parse_starved("null", passes); passes++)
		continue;
	buf_fini(&text);
}

/* A name and a text longer than what json-c starts with, in chunks. */
#define LONG_NAME "a name of more than thirty-two bytes \\u00e9\\t and on"
#define LONG_TEXT \
	"a text that is longer still, \\\\ \\ud83d\\ude00 \\n with an end"
#define MEMBERS                                                             \
	"{\"k\" : \"v\",\"" LONG_NAME "\"\t:{\"\":[{},{\"in\":\"" LONG_TEXT \
	"\"} , null ]}, \"n\":1.5,\"t\":true}"

static void
expect_string(const struct jsonr *value, const char *expected)
{
	const char *text = "";

	cr_expect_eq(jsonr_string(value, &text, NULL), OK);
	cr_expect_str_eq(text, expected);
}

static void
expect_members(const struct jsonr *top)
{
	const struct jsonr *list;

	cr_expect_eq(jsonr_count(top), 4);
	expect_string(jsonr_get(top, "k"), "v");
	list = jsonr_get(jsonr_get(top,
			     "a name of more than thirty-two bytes é\t and on"),
	    "");
	cr_expect_eq(jsonr_count(list), 3);
	expect_string(jsonr_get(jsonr_at(list, 1), "in"),
	    "a text that is longer still, \\ 😀 \n with an end");
	expect_raw(jsonr_get(top, "n"), "1.5");
	expect_raw(top, MEMBERS);
}

Test(jsonr, one_allocation_that_fails_is_an_error_or_changes_nothing)
{
	struct jsonr *value = NULL;
	struct arena *own;
	bool hit = true;
	enum err err;
	long passes;

	for (passes = 0; hit; passes++) {
		own = arena_new();
		cr_assert_not_null(own);
		failing_at(passes);
		err = jsonr_parse(own, MEMBERS, strlen(MEMBERS), &value, NULL);
		hit = failing_stop();
		if (err == OK)
			expect_members(value);
		else
			cr_expect(hit && err == ERR_MEMORY, "%ld", passes);
		arena_free(own);
	}
	cr_expect_gt(passes, 20);
}
