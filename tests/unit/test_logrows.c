/*
 * test_logrows.c - where a list of logs goes on.
 */
#include "api/logrows.h"

#include <criterion/criterion.h>

#include "http/memory.h"

static struct memory_answer answer;
static struct http_request *req;
static struct logrows rows;

static void
setup(void)
{
	static const struct logrows_shape shape = { .file = "x.csv" };
	const char *const envp[] = { "REQUEST_METHOD=GET", "REQUEST_URI=/x",
		NULL };

	cr_assert_eq(memory_request(envp, NULL, 0, &answer, &req), OK);
	logrows_init(&rows, req, &shape, LOGROWS_JSON);
}

static void
teardown(void)
{
	request_finish(req);
	memory_answer_fini(&answer);
}

TestSuite(logrows, .init = setup, .fini = teardown);

Test(logrows, a_cursor_is_a_time_and_an_id)
{
	cr_assert_eq(logrows_after(&rows,
			 "1709200800123456."
			 "01900000-0000-7000-8000-00000000000A"),
	    OK);
	cr_expect_str_eq(rows.args[2], "2024-02-29T10:00:00.123456Z");
	cr_expect_str_eq(rows.args[3], "01900000-0000-7000-8000-00000000000a");
}

Test(logrows, what_is_no_cursor_is_refused)
{
	static const char id[] = "01900000-0000-7000-8000-00000000000a";
	static const char *const times[] = { "", "-1.", "+1.", " 1.", "x.", "1",
		"1,", "1..", "253402300800000000.", "9223372036854775808." };
	struct buf cursor;

	buf_init(&cursor, 100);
	for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++) {
		buf_reset(&cursor);
		buf_addf(&cursor, "%s%s", times[i], id);
		cr_expect_eq(logrows_after(&rows, buf_str(&cursor)), ERR_INPUT,
		    "%s", buf_str(&cursor));
	}
	buf_fini(&cursor);
	cr_expect_eq(logrows_after(&rows, "1.nonsense"), ERR_INPUT);
	cr_expect_eq(logrows_after(&rows, "1."), ERR_INPUT);
	cr_expect_null(rows.args[2]);
	cr_expect_null(rows.args[3]);
}
