/*
 * test_query.c - query parameters and list cursors.
 */
#include "http/query.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/buf.h"
#include "http/memory.h"

static struct memory_answer answer;
static struct http_request *req;
static struct problem_fields *bad;

static void
teardown(void)
{
	if (req != NULL)
		request_finish(req);
	req = NULL;
	memory_answer_fini(&answer);
}

TestSuite(query, .fini = teardown);

/* A new request for uri; the one before is ended. */
static void
ask(const char *uri)
{
	struct buf line;

	teardown();
	buf_init(&line, 100000);
	buf_addf(&line, "REQUEST_URI=%s", uri);
	const char *const envp[] = { "REQUEST_METHOD=GET", buf_str(&line),
		NULL };
	cr_assert_eq(memory_request(envp, NULL, 0, &answer, &req), OK, "%s",
	    uri);
	buf_fini(&line);
	bad = problem_fields(req);
}

static void
expect_fault(const char *message)
{
	cr_expect(problem_fields_any(bad));
	problem_fields_reply(bad);
	cr_expect_eq(req->status, 400);
	cr_expect_not_null(strstr(buf_str(&req->out), message), "%s",
	    buf_str(&req->out));
}

Test(query, integers_are_digits_within_the_range)
{
	static const char *const wrong[] = { "-1", "0", "201", "2147483648",
		"9223372036854775808", "18446744073709551616", "1e3", "NaN", "",
		"%201", "1%20", "%2B1", "1.0", "0x10", "ten", "1,000",
		"99999999999999999999999999" };
	int64_t number;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct buf uri;

		buf_init(&uri, 1000);
		buf_addf(&uri, "/x?limit=%s", wrong[i]);
		ask(buf_str(&uri));
		buf_fini(&uri);
		number = 7;
		query_int(req, bad, "limit", 1, 200, &number);
		cr_expect_eq(number, 7, "%s", wrong[i]);
		expect_fault("must be an integer from 1 to 200");
	}
	ask("/x?limit=200&limit=9&low=1&zero=007");
	query_int(req, bad, "limit", 1, 200, &number);
	cr_expect_eq(number, 200);
	query_int(req, bad, "low", 1, 200, &number);
	cr_expect_eq(number, 1);
	query_int(req, bad, "zero", 1, 200, &number);
	cr_expect_eq(number, 7);
	query_int(req, bad, "absent", 10, 200, &number);
	cr_expect_eq(number, 7);
	cr_expect_not(problem_fields_any(bad));
}

Test(query, words_are_of_a_list)
{
	static const char *const words[] = { "asc", "desc", NULL };
	const char *word = "kept";

	ask("/x?a=desc&b=up&c=");
	query_word(req, bad, "absent", words, &word);
	cr_expect_str_eq(word, "kept");
	query_word(req, bad, "a", words, &word);
	cr_expect_eq(word, words[1]);
	cr_expect_not(problem_fields_any(bad));
	query_word(req, bad, "b", words, &word);
	query_word(req, bad, "c", words, &word);
	cr_expect_eq(word, words[1]);
	expect_fault("must be asc or desc");
}

Test(query, strings_are_counted_in_characters)
{
	const char *text = "kept";

	ask("/x?q=%C3%A9%E2%82%AC&r=abc&e=");
	query_string(req, bad, "absent", 2, &text);
	cr_expect_str_eq(text, "kept");
	query_string(req, bad, "q", 2, &text);
	cr_expect_str_eq(text, "\xc3\xa9\xe2\x82\xac");
	query_string(req, bad, "e", 2, &text);
	cr_expect_str_eq(text, "");
	cr_expect_not(problem_fields_any(bad));
	query_string(req, bad, "r", 2, &text);
	cr_expect_str_eq(text, "");
	expect_fault("must have at most 2 characters");
}

Test(query, times_become_canonical)
{
	const char *text = NULL;

	ask("/x?a=2026-01-31T23:59:59Z&b=2026-02-01T01:59:59.5%2B02:00&"
	    "c=2026-01-31&d=yesterday&e=");
	query_time(req, bad, "absent", &text);
	cr_expect_null(text);
	query_time(req, bad, "a", &text);
	cr_expect_str_eq(text, "2026-01-31T23:59:59.000000Z");
	query_time(req, bad, "b", &text);
	cr_expect_str_eq(text, "2026-01-31T23:59:59.500000Z");
	query_time(req, bad, "c", &text);
	cr_expect_str_eq(text, "2026-01-31T00:00:00.000000Z");
	cr_expect_not(problem_fields_any(bad));
	query_time(req, bad, "d", &text);
	query_time(req, bad, "e", &text);
	cr_expect_str_eq(text, "2026-01-31T00:00:00.000000Z");
	expect_fault("must be a time like 2026-01-31T23:59:59Z or a date");
}

Test(query, a_cursor_comes_back_as_it_was)
{
	const char *cursor = NULL;
	struct buf uri;

	ask("/x");
	query_cursor(req, bad, &cursor);
	cr_expect_null(cursor);
	buf_init(&uri, 1000);
	buf_addf(&uri, "/x?cursor=%s",
	    query_cursor_make(req, "t\xc3\xa9,\n 0190-ab"));
	ask(buf_str(&uri));
	buf_fini(&uri);
	query_cursor(req, bad, &cursor);
	cr_expect_not(problem_fields_any(bad));
	cr_expect_str_eq(cursor, "t\xc3\xa9,\n 0190-ab");
}

Test(query, a_forged_cursor_is_a_fault)
{
	/* nothing, padding, other alphabet, NUL, invalid UTF-8, a length that
	 * no bytes have */
	static const char *const wrong[] = { "", "YQ==", "a%2Bb%2F", "YQBi",
		"_w", "A" };
	const char *cursor = NULL;
	struct buf uri;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		buf_init(&uri, 1000);
		buf_addf(&uri, "/x?cursor=%s", wrong[i]);
		ask(buf_str(&uri));
		buf_fini(&uri);
		query_cursor(req, bad, &cursor);
		cr_expect_null(cursor, "%s", wrong[i]);
		expect_fault("must be a cursor of this list");
	}
	buf_init(&uri, 10000);
	buf_adds(&uri, "/x?cursor=");
	for (int i = 0; i < 516; i++)
		buf_addc(&uri, 'Y');
	ask(buf_str(&uri));
	buf_fini(&uri);
	query_cursor(req, bad, &cursor);
	expect_fault("must be a cursor of this list");
}

static void
expect_link(const char *uri, const char *link)
{
	ask(uri);
	query_link_next(req, "abc");
	cr_expect_not_null(strstr(buf_str(&req->out_headers), link), "%s",
	    buf_str(&req->out_headers));
}

Test(query, the_link_keeps_the_query_and_replaces_the_cursor)
{
	expect_link("/api/chats/",
	    "Link: </api/chats?cursor=YWJj>; rel=\"next\"\r\n");
	expect_link("/api/chats?limit=5&cursor=old&q=a+b%26%3D%25",
	    "Link: </api/chats?limit=5&q=a%20b%26%3D%25&cursor=YWJj>; "
	    "rel=\"next\"\r\n");
	expect_link("/x?filters[Model]=gpt-4o&since=2026-01-31T00:00:00Z",
	    "Link: </x?filters%5BModel%5D=gpt-4o&since=2026-01-31T00:00:00Z&"
	    "cursor=YWJj>");
}

Test(query, a_link_too_long_for_a_header_is_left_out)
{
	char uri[3100] = "/x?q=";

	memset(uri + strlen(uri), '/', 3000); /* each as %2F */
	ask(uri);
	query_link_next(req, "abc");
	cr_expect(buf_ok(&req->out_headers));
	cr_expect_null(strstr(buf_str(&req->out_headers), "Link:"));
}

Test(query, the_link_holds_no_credential)
{
	expect_link("/x?token=secret&a=1", "Link: </x?a=1&cursor=YWJj>");
	cr_expect_null(strstr(buf_str(&req->out_headers), "secret"));
}

Test(query, the_link_cannot_be_broken_out_of)
{
	ask("/x?%3E%22=%3E%3B%20rel%0d%0a%C3%A9");
	req->path = "/x>\r\n\"\xc3\xa9/y";
	query_link_next(req, "abc");
	cr_expect_str_eq(buf_str(&req->out_headers),
	    "Link: </x%3E%0D%0A%22%C3%A9/y?%3E%22=%3E%3B%20rel%0D%0A%C3%A9&"
	    "cursor=YWJj>; rel=\"next\"\r\n");
}

Test(query, like_patterns_are_literal)
{
	ask("/x");
	cr_expect_str_eq(query_like(req, "100%_\\x\xc3\xa9"),
	    "%100\\%\\_\\\\x\xc3\xa9%");
	cr_expect_str_eq(query_like(req, ""), "%%");
}
