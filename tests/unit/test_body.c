/*
 * test_body.c - reading JSON object bodies.
 */
#include "http/body.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "http/memory.h"

static struct memory_answer answer;
static struct http_request *req;
static struct problem_fields *bad;

static void
post(const char *type, const char *text)
{
	char type_line[100];
	const char *const envp[] = { "REQUEST_METHOD=POST", "REQUEST_URI=/x",
		type_line, NULL };

	(void)snprintf(type_line, sizeof(type_line), "CONTENT_TYPE=%s", type);
	cr_assert_eq(memory_request(envp, text, strlen(text), &answer, &req),
	    OK);
	bad = problem_fields(req);
}

static struct jsonr *
read_object(const char *text)
{
	struct jsonr *object = NULL;

	post("application/json", text);
	cr_assert_eq(body_object_or_reply(req, &object), OK, "%s", text);
	cr_assert_not_null(object);
	return object;
}

/* The answer of an ended request has text in it. */
static void
expect_in_answer(const char *text)
{
	cr_expect_not_null(strstr(buf_str(&req->out), text), "%s in %s", text,
	    buf_str(&req->out));
}

static void
expect_fault(const char *field, const char *message)
{
	struct buf item;

	buf_init(&item, 1000);
	buf_addf(&item, "{\"field\":\"%s\",\"message\":\"%s\"}", field,
	    message);
	expect_in_answer(buf_str(&item));
	buf_fini(&item);
}

static void
teardown(void)
{
	if (req != NULL)
		request_finish(req);
	req = NULL;
	memory_answer_fini(&answer);
}

TestSuite(body, .fini = teardown);

static void
expect_refused(const char *type, const char *text, int status)
{
	struct jsonr *object = NULL;

	post(type, text);
	cr_expect_neq(body_object_or_reply(req, &object), OK);
	cr_expect_null(object);
	cr_expect_eq(req->status, status, "%s %s: %d", type, text, req->status);
}

Test(body, wants_a_content_type_of_json)
{
	static const char *const good[] = { "application/json",
		"Application/JSON; charset=utf-8", "application/problem+json",
		"application/vnd.api+json" };
	static const char *const wrong[] = { "", "text/plain", "json",
		"application/x-www-form-urlencoded", "application/jsonx",
		"application/x-ndjson", "+json" };
	struct jsonr *object;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		post(good[i], "{}");
		cr_expect_eq(body_object_or_reply(req, &object), OK, "%s",
		    good[i]);
		teardown();
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		expect_refused(wrong[i], "{}", 415);
		teardown();
	}
}

Test(body, bad_json_is_400_and_says_what_and_where)
{
	expect_refused("application/json", "{\"a\":1,\"a\":2}", 400);
	expect_in_answer("\"code\":\"invalid_json\"");
	expect_in_answer("the same key appears twice in an object (at byte 7)");
}

Test(body, no_body_is_400)
{
	expect_refused("application/json", "", 400);
	expect_in_answer("\"code\":\"invalid_json\"");
	expect_in_answer("there is no JSON value");
	teardown();
	expect_refused("", "", 400);
}

Test(body, what_is_no_object_is_400)
{
	static const char *const texts[] = { "[]", "null", "\"{}\"", "1" };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		expect_refused("application/json", texts[i], 400);
		expect_in_answer("the body must be a JSON object");
		teardown();
	}
}

Test(body, what_is_not_sent_keeps_its_value)
{
	static const char *const words[] = { "a", NULL };
	struct jsonr *object = read_object("{\"s\":null,\"i\":null}");
	const char *text = "kept";
	int64_t number = 7;
	bool yes = true;

	body_string(bad, object, "s", OPTIONAL, 1, 5, &text);
	body_string(bad, object, "none", OPTIONAL, 1, 5, &text);
	body_word(bad, object, "none", OPTIONAL, words, &text);
	body_any(bad, object, "none", 5, &text);
	body_int(bad, object, "i", OPTIONAL, 1, 5, &number);
	body_bool(bad, object, "none", OPTIONAL, &yes);
	cr_expect_str_eq(text, "kept");
	cr_expect_eq(number, 7);
	cr_expect(yes);
	cr_expect_not(problem_fields_any(bad));
}

Test(body, what_is_required_is_missed_all_at_once)
{
	static const char *const words[] = { "a", NULL };
	struct jsonr *object = read_object("{\"s\":null}");
	const char *text = NULL;
	int64_t number = 0;
	bool yes = false;

	body_string(bad, object, "s", REQUIRED, 0, 5, &text);
	body_word(bad, object, "w", REQUIRED, words, &text);
	body_int(bad, object, "i", REQUIRED, 1, 5, &number);
	body_bool(bad, object, "b", REQUIRED, &yes);
	cr_assert(problem_fields_any(bad));
	problem_fields_reply(bad);
	cr_expect_eq(req->status, 400);
	expect_fault("s", "is required");
	expect_fault("w", "is required");
	expect_fault("i", "is required");
	expect_fault("b", "is required");
}

Test(body, null_is_any_json_too)
{
	struct jsonr *object = read_object("{\"x\":null}");
	const char *text = NULL;

	body_any(bad, object, "x", 4, &text);
	cr_expect_not(problem_fields_any(bad));
	cr_expect_str_eq(text, "null");
}

Test(body, reads_what_is_right)
{
	static const char *const words[] = { "info", "error", NULL };
	struct jsonr *object = read_object("{\"s\":\"\xc3\xa9\xc3\xa9\","
					   "\"w\":\"error\",\"i\":-3,\"b\":"
					   "true,\"x\":{ \"a\" : 1.0 }}");
	const char *text = NULL;
	const char *word = NULL;
	const char *any = NULL;
	int64_t number = 0;
	bool yes = false;

	body_string(bad, object, "s", REQUIRED, 2, 2, &text);
	body_word(bad, object, "w", REQUIRED, words, &word);
	body_int(bad, object, "i", REQUIRED, -3, 5, &number);
	body_bool(bad, object, "b", REQUIRED, &yes);
	body_any(bad, object, "x", 13, &any);
	cr_assert_not(problem_fields_any(bad));
	cr_expect_str_eq(text, "\xc3\xa9\xc3\xa9");
	cr_expect_eq(word, words[1]);
	cr_expect_eq(number, -3);
	cr_expect(yes);
	cr_expect_str_eq(any, "{ \"a\" : 1.0 }");
}

Test(body, what_is_wrong_names_its_rule_and_keeps_the_value)
{
	static const char *const words[] = { "a", "b", "c", NULL };
	struct jsonr *object = read_object("{\"s\":1,\"t\":\"\",\"w\":\"d\","
					   "\"v\":[],\"i\":201,\"j\":1.0,\"k\":"
					   "\"1\",\"b\":\"true\","
					   "\"x\":[1,2,3]}");
	const char *text = "kept";
	int64_t number = 7;
	bool yes = false;

	body_string(bad, object, "s", OPTIONAL, 1, 5, &text);
	body_string(bad, object, "t", OPTIONAL, 1, 5, &text);
	body_word(bad, object, "w", OPTIONAL, words, &text);
	body_word(bad, object, "v", OPTIONAL, words, &text);
	body_int(bad, object, "i", OPTIONAL, 1, 200, &number);
	body_int(bad, object, "j", OPTIONAL, 1, 200, &number);
	body_int(bad, object, "k", OPTIONAL, 1, 200, &number);
	body_bool(bad, object, "b", OPTIONAL, &yes);
	body_any(bad, object, "x", 6, &text);
	cr_expect_str_eq(text, "kept");
	cr_expect_eq(number, 7);
	cr_expect_not(yes);
	problem_fields_reply(bad);
	expect_fault("s", "must be a string");
	expect_fault("t", "must have 1 to 5 characters");
	expect_fault("w", "must be a, b or c");
	expect_fault("v", "must be a string");
	expect_fault("i", "must be an integer from 1 to 200");
	expect_fault("j", "must be an integer from 1 to 200");
	expect_fault("k", "must be an integer from 1 to 200");
	expect_fault("b", "must be true or false");
	expect_fault("x", "must have at most 6 bytes");
}
