/*
 * test_logfields.c - what becomes of the JSON of a log.
 */
#include "api/logfields.h"

#include <criterion/criterion.h>
#include <string.h>

#include "http/memory.h"
#include "http/problem.h"

static struct memory_answer answer;
static struct http_request *req;
static struct record *record;

static void
setup(void)
{
	const char *const envp[] = { "REQUEST_METHOD=POST", "REQUEST_URI=/x",
		NULL };

	cr_assert_eq(memory_request(envp, NULL, 0, &answer, &req), OK);
}

static void
teardown(void)
{
	record_free(record);
	record = NULL;
	request_finish(req);
	memory_answer_fini(&answer);
}

TestSuite(logfields, .init = setup, .fini = teardown);

static enum err
read_log(const char *text, enum err (*make)(struct http_request *,
			       const struct jsonr *, struct record **))
{
	struct jsonr *object;

	record_free(record);
	record = NULL;
	cr_assert_eq(jsonr_parse(req->arena, text, strlen(text), &object, NULL),
	    OK, "%s", text);
	return make(req, object, &record);
}

static void
expect_in_line(const char *text)
{
	cr_expect_not_null(strstr(record->line, text), "%s in %s", text,
	    record->line);
}

Test(logfields, an_event_is_a_line_with_its_defaults)
{
	cr_assert_eq(read_log("{\"user_id\":\"u\",\"message\":\"m\"}",
			 logfields_event),
	    OK);
	cr_expect_eq(record->kind, RECORD_EVENT);
	cr_expect_not(uuid_is_zero(&record->id));
	expect_in_line("\tu\tinfo\tm\t\\N\t");
}

Test(logfields, an_id_and_a_time_are_taken_over)
{
	cr_assert_eq(read_log("{\"user_id\":7.50,\"message\":\"m\","
			      "\"id\":\"0A000000-0000-4000-8000-000000000001\","
			      "\"timestamp\":\"2024-02-29T12:00:00+02:00\","
			      "\"metadata\":[1.0,\"a\\tb\"]}",
			 logfields_event),
	    OK);
	expect_in_line("\t0a000000-0000-4000-8000-000000000001\t");
	expect_in_line("\t7.50\tinfo\tm\t[1.0,\"a\\\\tb\"]\t"
		       "2024-02-29T10:00:00.000000Z\n");
}

Test(logfields, an_llm_log_is_a_call_that_is_over)
{
	cr_assert_eq(read_log("{\"user_id\":\"u\",\"source\":\"s\","
			      "\"query\":\"q\",\"response\":\"\"}",
			 logfields_llm),
	    OK);
	cr_expect_eq(record->kind, RECORD_CALL);
	expect_in_line("\tingest\t\\N\t\\N\t\\N\tcompleted\t");
	expect_in_line("\tq\t\n");
}

Test(logfields, every_fault_is_named_and_nothing_is_made)
{
	static const char *const faults[] = { "user_id", "id", "timestamp",
		"message", "level", NULL };
	const char *detail;

	cr_assert_eq(read_log("{\"user_id\":true,\"id\":\"x\","
			      "\"timestamp\":\"1969-12-31T00:00:00Z\","
			      "\"message\":\"\",\"level\":\"x\"}",
			 logfields_event),
	    ERR_INPUT);
	cr_expect_null(record);
	(void)problem_fields_reply(problem_fields(req));
	detail = buf_str(&req->out);
	for (size_t i = 0; faults[i] != NULL; i++)
		cr_expect_not_null(strstr(detail, faults[i]), "%s in %s",
		    faults[i], detail);
}

Test(logfields, after_a_fault_nothing_more_is_made)
{
	cr_assert_eq(read_log("{}", logfields_llm), ERR_INPUT);
	cr_assert_eq(read_log("{\"user_id\":\"u\",\"source\":\"s\"}",
			 logfields_llm),
	    ERR_INPUT);
	cr_expect_null(record);
}
