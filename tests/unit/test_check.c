/*
 * test_check.c - the rules that fields of bodies and queries share.
 */
#include "http/check.h"

#include <criterion/criterion.h>
#include <string.h>

#include "http/memory.h"

static struct memory_answer answer;
static struct http_request *req;
static struct problem_fields *bad;

static void
setup(void)
{
	const char *const envp[] = { "REQUEST_METHOD=GET", "REQUEST_URI=/x",
		NULL };

	cr_assert_eq(memory_request(envp, NULL, 0, &answer, &req), OK);
	bad = problem_fields(req);
}

static void
teardown(void)
{
	request_finish(req);
	memory_answer_fini(&answer);
}

TestSuite(check, .init = setup, .fini = teardown);

static bool
length_is(const char *text, int64_t min, int64_t max)
{
	const int64_t range[2] = { min, max };

	return check_length(bad, "f", text, strlen(text), range);
}

Test(check, counts_characters_and_not_bytes)
{
	cr_expect(length_is("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 3, 3));
	cr_expect(length_is("", 0, 0));
	cr_expect_not(problem_fields_any(bad));
	cr_expect_not(length_is("ab", 3, 4));
	cr_expect_not(length_is("ab", 0, 1));
	cr_expect(problem_fields_any(bad));
}

Test(check, finds_the_word)
{
	static const char *const words[] = { "asc", "desc", NULL };

	cr_expect_eq(check_word(bad, "f", "desc", words), words[1]);
	cr_expect_not(problem_fields_any(bad));
	cr_expect_null(check_word(bad, "f", "DESC", words));
	cr_expect_null(check_word(bad, "g", "", words));
	cr_expect(problem_fields_any(bad));
	problem_fields_reply(bad);
	cr_expect_not_null(strstr(buf_str(&req->out), "must be asc or desc"));
}

Test(check, names_the_range_of_a_number)
{
	check_number_fault(bad, "f", -1, 200);
	problem_fields_reply(bad);
	cr_expect_not_null(strstr(buf_str(&req->out),
	    "must be an integer from -1 to 200"));
}

Test(check, names_the_range_of_a_length)
{
	(void)length_is("abc", 1, 2);
	(void)length_is("abcd", 0, 3);
	problem_fields_reply(bad);
	cr_expect_not_null(strstr(buf_str(&req->out),
	    "must have 1 to 2 characters"));
	cr_expect_not_null(strstr(buf_str(&req->out),
	    "must have at most 3 characters"));
}
