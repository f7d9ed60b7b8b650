/*
 * test_tool_calls.c - tool calls from the pieces of a stream.
 */
#include "api/tool_calls.h"

#include <criterion/criterion.h>
#include <string.h>

static struct tool_calls calls;
static struct buf out;

static void
setup(void)
{
	buf_init(&out, 4 * 1024 * 1024);
}

static void
teardown(void)
{
	tool_calls_fini(&calls);
	buf_fini(&out);
}

TestSuite(tool_calls, .init = setup, .fini = teardown);

static void
piece(const char *delta)
{
	struct buf event;

	buf_init(&event, 2 * 1024 * 1024);
	buf_addf(&event,
	    "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[%s]}}]}",
	    delta);
	tool_calls_event(&calls, event.data, event.len);
	buf_fini(&event);
}

Test(tool_calls, arguments_are_put_together_by_index)
{
	piece("{\"index\":0,\"id\":\"a\",\"type\":\"function\",\"function\":{"
	      "\"name\":\"f\",\"arguments\":\"\"}}");
	piece("{\"index\":1,\"id\":\"b\",\"function\":{\"name\":\"g\","
	      "\"arguments\":\"[\"}},"
	      "{\"index\":0,\"function\":{\"arguments\":\"{\\\"x\\\"\"}}");
	piece("{\"index\":0,\"function\":{\"arguments\":\":1}\"}}");
	piece("{\"index\":1,\"function\":{\"arguments\":\"]\"}}");
	cr_assert(tool_calls_write(&calls, &out));
	cr_expect_str_eq(buf_str(&out),
	    "[{\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\","
	    "\"arguments\":\"{\\\"x\\\":1}\"}},"
	    "{\"id\":\"b\",\"type\":\"function\",\"function\":{\"name\":\"g\","
	    "\"arguments\":\"[]\"}}]");
}

Test(tool_calls, none_are_none)
{
	cr_expect_not(tool_calls_write(&calls, &out));
	tool_calls_event(&calls, "{\"choices\":[]}", 14);
	cr_expect_not(tool_calls_write(&calls, &out));
	cr_expect_eq(out.len, 0);
}

Test(tool_calls, other_choices_do_not_count)
{
	static const char other[] =
	    "{\"choices\":[{\"index\":1,\"delta\":{\"tool_calls\":["
	    "{\"index\":0,\"id\":\"x\",\"function\":{\"name\":\"x\"}}]}}]}";

	tool_calls_event(&calls, other, sizeof(other) - 1);
	cr_expect_eq(calls.count, 0);
}

static void
expect_broken(const char *delta)
{
	tool_calls_fini(&calls);
	piece("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\"}}");
	cr_assert(tool_calls_write(&calls, &out));
	buf_reset(&out);
	piece(delta);
	cr_expect_not(tool_calls_write(&calls, &out), "%s", delta);
	cr_expect_eq(out.len, 0);
}

Test(tool_calls, a_missing_piece_spoils_all)
{
	expect_broken("{\"index\":64,\"function\":{\"name\":\"f\"}}");
	expect_broken("{\"index\":-1}");
	expect_broken("{\"index\":\"1\"}");
	expect_broken("{}");
	expect_broken("7");
	expect_broken("{\"index\":2,\"function\":{\"name\":\"f\"}}");
	expect_broken("{\"index\":0,");
}

Test(tool_calls, arguments_have_a_ceiling)
{
	static char big[TOOL_ARGUMENTS_MAX];
	struct buf delta;

	memset(big, 'x', sizeof(big) - 1);
	buf_init(&delta, 2 * 1024 * 1024);
	buf_addf(&delta,
	    "{\"index\":0,\"function\":{\"name\":\"f\",\"arguments\":\"%s\"}}",
	    big);
	piece(delta.data);
	cr_expect(tool_calls_write(&calls, &out));
	piece("{\"index\":0,\"function\":{\"arguments\":\"yy\"}}");
	buf_reset(&out);
	cr_expect_not(tool_calls_write(&calls, &out));
	buf_fini(&delta);
}
