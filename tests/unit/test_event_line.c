/*
 * test_event_line.c - the events of the EventSource families.
 */
#include <criterion/criterion.h>

#include "api/event_line.h"
#include "failing.h"
#include "llm/outlet.h"

static struct outlet *
new_outlet(void)
{
	struct http_request *req = request_new();
	struct outlet *outlet;

	cr_assert_not_null(req);
	outlet = outlet_new(req);
	cr_assert_not_null(outlet);
	return outlet;
}

static const char *
queued(struct outlet *outlet)
{
	return buf_str(&outlet->queue);
}

Test(event_line, is_one_data_line_with_one_object)
{
	struct outlet *outlet = new_outlet();
	struct event_line line;

	event_line_open(&line, "chunk");
	jsonw_kv(&line.json, "content", "a");
	cr_assert_eq(event_line_send(&line, outlet), OK);
	event_line_open(&line, "done");
	cr_assert_eq(event_line_send(&line, outlet), OK);
	cr_expect_str_eq(queued(outlet),
	    "data: {\"type\":\"chunk\",\"content\":\"a\"}\n\n"
	    "data: {\"type\":\"done\"}\n\n");
	request_free(outlet_request(outlet));
}

Test(event_line, line_ends_and_quotes_in_a_text_stay_inside_it)
{
	struct outlet *outlet = new_outlet();
	struct event_line line;

	event_line_open(&line, "chunk");
	jsonw_kv(&line.json, "content", "a\n\ndata: \"b\"\r");
	cr_assert_eq(event_line_send(&line, outlet), OK);
	cr_expect_str_eq(queued(outlet),
	    "data: {\"type\":\"chunk\",\"content\":\"a\\n\\ndata: "
	    "\\\"b\\\"\\r\"}\n\n");
	request_free(outlet_request(outlet));
}

Test(event_line, without_memory_nothing_of_it_is_sent)
{
	struct outlet *outlet = new_outlet();
	struct event_line line;
	long passes = 0;
	enum err err;

	do {
		failing_after(passes++);
		event_line_open(&line, "chunk");
		jsonw_kv(&line.json, "content", "a");
		err = event_line_send(&line, outlet);
		if (failing_stop() && err != OK)
			cr_expect_str_eq(queued(outlet), "");
	} while (err != OK && passes < 20);
	cr_expect_eq(err, OK);
	cr_expect_gt(passes, 1);
	request_free(outlet_request(outlet));
}

Test(event_line, a_text_over_the_ceiling_is_a_failure)
{
	static char text[7 * 1024 * 1024];
	struct outlet *outlet = new_outlet();
	struct event_line line;

	memset(text, 'x', sizeof(text) - 1);
	event_line_open(&line, "chunk");
	jsonw_kv(&line.json, "content", text);
	cr_expect_eq(event_line_send(&line, outlet), ERR_MEMORY);
	cr_expect_str_eq(queued(outlet), "");
	request_free(outlet_request(outlet));
}
