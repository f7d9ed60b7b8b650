/*
 * test_pages.c - page numbers and cursors of the chats family.
 */
#include "api/pages.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/buf.h"
#include "http/memory.h"
#include "http/query.h"

static const struct page_order by_time = { "createdAt desc", PAGE_TIME };
static const struct page_order by_title = { "title asc", PAGE_TEXT };
static const struct page_order by_id = { "asc", PAGE_ID };

#define ID "01890a5d-ac96-774b-bcce-b302099a8057"

static struct memory_answer answer;
static struct http_request *req;
static struct page page;

static void
teardown(void)
{
	if (req != NULL)
		request_finish(req);
	req = NULL;
	memory_answer_fini(&answer);
}

TestSuite(pages, .fini = teardown);

static void
read(const struct page_order *order, const char *query)
{
	struct buf uri;

	teardown();
	buf_init(&uri, 8192);
	buf_addf(&uri, "REQUEST_URI=/list?%s", query);
	const char *const envp[] = { "REQUEST_METHOD=GET", uri.data, NULL };
	cr_assert_eq(memory_request(envp, NULL, 0, &answer, &req), OK);
	buf_fini(&uri);
	cr_assert_eq(pages_read(req, &req->bad, order, &page), OK);
}

static void
read_cursor(const struct page_order *order, const char *text)
{
	struct buf query;

	read(order, "");
	buf_init(&query, 4096);
	buf_addf(&query, "page=9&limit=5&cursor=%s",
	    query_cursor_make(req, text));
	read(order, query.data);
	buf_fini(&query);
}

Test(pages, the_first_page_has_ten_rows)
{
	read(&by_time, "");
	cr_expect_not(problem_fields_any(&req->bad));
	cr_expect_eq(page.number, 1);
	cr_expect_eq(page.size, 10);
	cr_expect_str_eq(page.limit, "11");
	cr_expect_str_eq(page.offset, "0");
	cr_expect_null(page.total);
	cr_expect_null(page.after);
}

Test(pages, a_page_number_skips_the_ones_before)
{
	read(&by_time, "page=1000000000&limit=100");
	cr_expect_not(problem_fields_any(&req->bad));
	cr_expect_str_eq(page.limit, "101");
	cr_expect_str_eq(page.offset, "99999999900");
}

Test(pages, what_is_out_of_range_is_a_fault)
{
	static const char *const wrong[] = { "page=0", "page=1000000001",
		"page=", "limit=0", "limit=101", "limit=x", "cursor=!",
		"cursor=" };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		read(&by_time, wrong[i]);
		cr_expect(problem_fields_any(&req->bad), "%s", wrong[i]);
	}
}

Test(pages, a_cursor_takes_the_place_of_the_number)
{
	read_cursor(&by_time,
	    "createdAt desc|3|25|" ID "|2026-01-31T23:59:59.123456Z");
	cr_expect_not(problem_fields_any(&req->bad));
	cr_expect_eq(page.number, 3);
	cr_expect_str_eq(page.offset, "0");
	cr_expect_str_eq(page.limit, "6");
	cr_expect_str_eq(page.total, "25");
	cr_expect_str_eq(page.after, ID);
	cr_expect_str_eq(page.time, "2026-01-31T23:59:59.123456Z");
	cr_expect_null(page.text);
}

Test(pages, a_title_may_hold_the_separator)
{
	read_cursor(&by_title, "title asc|2|7|" ID "|a|b|");
	cr_expect_not(problem_fields_any(&req->bad));
	cr_expect_str_eq(page.text, "a|b|");
	cr_expect_null(page.time);
	read_cursor(&by_id, "asc|2|7|" ID "|");
	cr_expect_not(problem_fields_any(&req->bad));
	cr_expect_null(page.text);
}

Test(pages, a_forged_cursor_is_a_fault)
{
	static const char *const wrong[] = { "createdAt desc",
		"createdAt asc|2|7|" ID "|2026-01-31T23:59:59Z",
		"createdAt desc|-2|7|" ID "|2026-01-31T23:59:59Z",
		"createdAt desc|2||" ID "|2026-01-31T23:59:59Z",
		"createdAt desc|2|9999999999999999999|" ID
		"|2026-01-31T23:59:59Z",
		"createdAt desc|2|7|x|2026-01-31T23:59:59Z",
		"createdAt desc|2|7|" ID "|infinity",
		"createdAt desc|2|7|" ID "|", "createdAt desc|2|7|" ID };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		read_cursor(&by_time, wrong[i]);
		cr_expect(problem_fields_any(&req->bad), "%s", wrong[i]);
		cr_expect_null(page.after);
	}
	read_cursor(&by_id, "asc|2|7|" ID "|x");
	cr_expect(problem_fields_any(&req->bad));
}
