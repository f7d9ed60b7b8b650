/*
 * test_problem.c - every error has a face, in the shape of its path.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "http/memory.h"
#include "http/problem.h"
#include "http/response.h"

#define ANTHROPIC(type)                                         \
	"{\"type\":\"error\",\"error\":{\"type\":\"" type "\"," \
	"\"message\":\"why\"},\"request_id\":\"rid\"}"

static struct memory_answer answer;

static struct http_request *
make(const char *uri)
{
	const char *const envp[] = { "REQUEST_METHOD=GET", uri,
		"HTTP_X_REQUEST_ID=rid", NULL };
	struct http_request *req = NULL;

	cr_assert_eq(memory_request(envp, NULL, 0, &answer, &req), OK);
	return req;
}

static const char *
finish(struct http_request *req)
{
	request_finish(req);
	return buf_str(&answer.bytes);
}

static const char *
body(struct http_request *req)
{
	return strstr(finish(req), "\r\n\r\n") + 4;
}

Test(problem, every_error_has_a_status_and_a_slug)
{
	for (int err = OK; err < ERR_COUNT; err++) {
		cr_expect_geq(problem_status((enum err)err), 200, "%s",
		    err_name((enum err)err));
		cr_expect_lt(problem_status((enum err)err), 600);
		cr_expect_not_null(problem_slug((enum err)err));
		if (err != OK)
			cr_expect_geq(problem_status((enum err)err), 400);
	}
	cr_expect_eq(problem_status(ERR_COUNT), 500);
	cr_expect_str_eq(problem_slug((enum err) - 1), "internal_error");
}

Test(problem, outside_v1_it_is_problem_json)
{
	struct http_request *req = make("REQUEST_URI=/api/chats");
	const char *text;

	cr_expect_eq(problem_reply(req, ERR_MISSING, "No chat %s.", "\"x\""),
	    ANSWERED);
	cr_expect_eq(req->fail.err, ERR_MISSING);
	text = finish(req);
	cr_expect_not_null(strstr(text,
	    "Content-Type: application/problem+json; charset=utf-8\r\n"));
	cr_expect_str_eq(strstr(text, "\r\n\r\n") + 4,
	    "{\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404,"
	    "\"detail\":\"No chat \\\"x\\\".\",\"code\":\"not_found\","
	    "\"message\":\"No chat \\\"x\\\".\",\"request_id\":\"rid\"}");
	memory_answer_fini(&answer);
}

Test(problem, under_v1_it_is_openais)
{
	struct http_request *req = make("REQUEST_URI=/v1/models/x");

	(void)problem_send(req, &(struct problem){ .err = ERR_MISSING,
				    .code = "model_not_found",
				    .param = "model",
				    .detail = "There is no model x." });
	cr_expect_str_eq(body(req),
	    "{\"error\":{\"message\":\"There is no model x.\","
	    "\"type\":\"invalid_request_error\",\"param\":\"model\","
	    "\"code\":\"model_not_found\"}}");
	memory_answer_fini(&answer);
}

Test(problem, openais_type_follows_the_status)
{
	const struct {
		enum err err;
		const char *part;
	} cases[] = {
		{ ERR_INPUT, "\"type\":\"invalid_request_error\"" },
		{ ERR_AUTH, "\"type\":\"authentication_error\",\"param\":null,"
			    "\"code\":\"invalid_api_key\"" },
		{ ERR_FORBIDDEN, "\"type\":\"permission_error\"" },
		{ ERR_MISSING, "\"type\":\"invalid_request_error\"" },
		{ ERR_LIMIT, "\"type\":\"rate_limit_error\",\"param\":null,"
			     "\"code\":\"rate_limit_exceeded\"" },
		{ ERR_UPSTREAM, "\"type\":\"server_error\"" },
		{ ERR_BUSY, "\"type\":\"server_error\"" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct http_request *req = make("REQUEST_URI=/v1");

		(void)problem_of(req, cases[i].err);
		cr_expect_not_null(strstr(body(req), cases[i].part), "%s",
		    cases[i].part);
		memory_answer_fini(&answer);
	}
}

Test(problem, a_type_of_the_caller_wins)
{
	struct http_request *req = make("REQUEST_URI=/v1/x");

	(void)problem_send(req, &(struct problem){ .err = ERR_LIMIT,
				    .status = 402,
				    .type = "insufficient_quota",
				    .detail = "d" });
	cr_expect_not_null(strstr(finish(req), "insufficient_quota"));
	cr_expect_not_null(strstr(buf_str(&answer.bytes), "Status: 402 "));
	memory_answer_fini(&answer);
}

Test(problem, on_messages_it_is_anthropics)
{
	const struct {
		enum err err;
		const char *start;
	} cases[] = {
		{ ERR_INPUT, ANTHROPIC("invalid_request_error") },
		{ ERR_AUTH, ANTHROPIC("authentication_error") },
		{ ERR_FORBIDDEN, ANTHROPIC("permission_error") },
		{ ERR_MISSING, ANTHROPIC("not_found_error") },
		{ ERR_TOO_LARGE, ANTHROPIC("request_too_large") },
		{ ERR_LIMIT, ANTHROPIC("rate_limit_error") },
		{ ERR_BUG, ANTHROPIC("api_error") },
		{ ERR_BUSY, ANTHROPIC("overloaded_error") },
		{ ERR_TIMEOUT, ANTHROPIC("timeout_error") },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct http_request *req = make("REQUEST_URI=/v1/messages");
		const char *text;

		(void)problem_reply(req, cases[i].err, "why");
		text = body(req);
		cr_expect_eq(strncmp(text, cases[i].start,
				 strlen(cases[i].start)),
		    0, "%s", text);
		memory_answer_fini(&answer);
	}
}

Test(problem, a_path_that_only_begins_alike_is_not_v1)
{
	struct http_request *req = make("REQUEST_URI=/v1x/messages");

	(void)problem_of(req, ERR_MISSING);
	cr_expect_not_null(strstr(finish(req), "problem+json"));
	memory_answer_fini(&answer);
	req = make("REQUEST_URI=/v1/messagesx");
	(void)problem_of(req, ERR_MISSING);
	cr_expect_not_null(strstr(finish(req), "{\"error\":"));
	memory_answer_fini(&answer);
}

Test(problem, a_broken_path_is_answered_in_its_familys_shape)
{
	struct http_request *req = make("REQUEST_URI=/v1/%zz");

	(void)problem_of(req, ERR_INPUT);
	cr_expect_not_null(strstr(finish(req), "{\"error\":{"));
	memory_answer_fini(&answer);
	req = make("REQUEST_URI=/api/%zz");
	(void)problem_of(req, ERR_INPUT);
	cr_expect_not_null(strstr(finish(req), "problem+json"));
	memory_answer_fini(&answer);
}

Test(problem, retry_after_is_there_once)
{
	struct http_request *req = make("REQUEST_URI=/x");
	const char *text;

	response_header(req, "Retry-After", "30");
	(void)problem_send(req,
	    &(struct problem){ .err = ERR_LIMIT, .retry_after = 9 });
	text = strstr(finish(req), "Retry-After: 30\r\n");
	cr_assert_not_null(text);
	cr_expect_null(strstr(text + 5, "Retry-After"));
	memory_answer_fini(&answer);
	req = make("REQUEST_URI=/x");
	(void)problem_send(req,
	    &(struct problem){ .err = ERR_BUSY, .retry_after = 9 });
	cr_expect_not_null(strstr(finish(req), "Retry-After: 9\r\n"));
	memory_answer_fini(&answer);
}

Test(problem, what_was_written_before_is_forgotten)
{
	struct http_request *req = make("REQUEST_URI=/x");

	buf_adds(&req->out, "half an answer");
	(void)problem_of(req, ERR_SYSTEM);
	cr_expect_eq(body(req)[0], '{');
	cr_expect_null(strstr(buf_str(&answer.bytes), "half"));
	memory_answer_fini(&answer);
}

Test(problem, the_log_keeps_what_failed_first)
{
	struct http_request *req = make("REQUEST_URI=/x");

	(void)request_fail(req, ERR_SYSTEM, "disk");
	(void)problem_of(req, ERR_BUSY);
	cr_expect_eq(req->fail.err, ERR_SYSTEM);
	cr_expect_str_eq(req->fail.detail, "disk");
	cr_expect_null(strstr(body(req), "disk"));
	memory_answer_fini(&answer);
}

Test(problem, a_stream_is_not_answered_again)
{
	struct http_request *req = make("REQUEST_URI=/x");
	size_t before;

	cr_assert_eq(stream_begin(req, 200, "text/event-stream"), OK);
	before = answer.bytes.len;
	(void)problem_of(req, ERR_UPSTREAM);
	cr_expect_eq(req->status, 200);
	cr_expect_eq(req->fail.err, ERR_UPSTREAM);
	(void)finish(req);
	cr_expect_eq(answer.bytes.len, before);
	memory_answer_fini(&answer);
}

Test(problem, all_failing_fields_are_named_at_once)
{
	struct http_request *req = make("REQUEST_URI=/x");
	struct problem_fields *bad = problem_fields(req);

	cr_expect_not(problem_fields_any(bad));
	problem_field(bad, "title", "must have %d to %d characters", 1, 100);
	problem_field(bad, "page", "must be a number");
	cr_expect(problem_fields_any(bad));
	cr_expect_eq(problem_fields_reply(bad), ANSWERED);
	cr_expect_str_eq(body(req),
	    "{\"type\":\"about:blank\",\"title\":\"Bad Request\","
	    "\"status\":400,\"detail\":\"title must have 1 to 100 characters; "
	    "page must be a number\",\"code\":\"invalid_request\","
	    "\"message\":\"title must have 1 to 100 characters; page must be "
	    "a number\",\"request_id\":\"rid\",\"errors\":["
	    "{\"field\":\"title\","
	    "\"message\":\"must have 1 to 100 characters\"},"
	    "{\"field\":\"page\",\"message\":\"must be a number\"}]}");
	memory_answer_fini(&answer);
}

Test(problem, under_v1_the_first_failing_field_is_the_param)
{
	struct http_request *req = make("REQUEST_URI=/v1/chat/completions");
	struct problem_fields *bad = problem_fields(req);

	problem_field(bad, "model", "is required");
	(void)problem_fields_reply(bad);
	cr_expect_not_null(strstr(body(req),
	    "\"message\":\"model is required\","
	    "\"type\":\"invalid_request_error\",\"param\":\"model\""));
	memory_answer_fini(&answer);
}
