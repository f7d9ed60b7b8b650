/*
 * test_response.c - whole answers and streams, over the memory transport.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "http/memory.h"
#include "http/response.h"

static struct memory_answer answer;

static struct http_request *
make(const char *method)
{
	const char *const envp[] = { method, "REQUEST_URI=/x",
		"HTTP_X_REQUEST_ID=rid", NULL };
	struct http_request *req = NULL;

	cr_assert_eq(memory_request(envp, NULL, 0, &answer, &req), OK);
	return req;
}

static const char *
finish(struct http_request *req)
{
	request_finish(req);
	cr_assert(answer.finished);
	return buf_str(&answer.bytes);
}

static bool
has(const char *text, const char *part)
{
	return strstr(text, part) != NULL;
}

Test(response, a_json_answer_has_the_headers_of_every_answer)
{
	struct http_request *req = make("REQUEST_METHOD=GET");
	const char *text;

	buf_adds(&req->out, "{\"a\":1}");
	cr_expect_eq(response_json(req, 200), ANSWERED);
	text = finish(req);
	cr_expect_eq(strncmp(text, "Status: 200 OK\r\n", 16), 0);
	cr_expect(has(text, "Content-Type: application/json; charset=utf-8"));
	cr_expect(has(text, "Content-Length: 7\r\n"));
	cr_expect(has(text, "X-Request-Id: rid\r\n"));
	cr_expect(has(text, "X-Content-Type-Options: nosniff\r\n"));
	cr_expect(has(text, "Content-Security-Policy: default-src 'none'; "
			    "frame-ancestors 'none'\r\n"));
	cr_expect_not(has(text, "Cache-Control"));
	cr_expect(has(text, "\r\n\r\n{\"a\":1}"));
	memory_answer_fini(&answer);
}

Test(response, what_a_credential_saw_is_not_stored)
{
	struct http_request *req = make("REQUEST_METHOD=GET");

	req->who.credential = CREDENTIAL_KEY;
	(void)response_json_text(req, 200, "{}", 2);
	cr_expect(has(finish(req), "Cache-Control: no-store\r\n"));
	memory_answer_fini(&answer);
}

Test(response, headers_of_the_handler_win_over_defaults)
{
	struct http_request *req = make("REQUEST_METHOD=GET");
	const char *text;

	req->who.credential = CREDENTIAL_KEY;
	response_header(req, "cache-control", "max-age=60");
	response_header(req, "Content-Security-Policy", "default-src 'self'");
	(void)response_type(req, 200, "text/html; charset=iso-8859-1");
	text = finish(req);
	cr_expect(has(text, "cache-control: max-age=60\r\n"));
	cr_expect_not(has(text, "no-store"));
	cr_expect_not(has(text, "frame-ancestors"));
	cr_expect(has(text, "Content-Type: text/html; charset=iso-8859-1\r\n"));
	memory_answer_fini(&answer);
}

Test(response, a_header_cannot_split_the_answer)
{
	const char *const values[] = { "a\r\nX-Evil: 1", "a\nb", "a\rb",
		"a\x7f", "\xc3\xa9", "a\x1b[0m" };

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		struct http_request *req = make("REQUEST_METHOD=GET");

		response_header(req, "X-Value", values[i]);
		cr_expect_eq(req->fail.err, ERR_BUG);
		cr_expect_eq(req->out_headers.len, 0);
		(void)response_empty(req, 204);
		cr_expect_not(has(finish(req), "X-Value"));
		memory_answer_fini(&answer);
	}
}

Test(response, a_header_name_is_a_token_and_a_value_is_there)
{
	struct http_request *req = make("REQUEST_METHOD=GET");

	response_header(req, "X: y\r\nZ", "v");
	response_header(req, "", "v");
	response_header(req, "X-None", NULL);
	response_headerf(req, "X-Number", "%d", 7);
	cr_expect_str_eq(buf_str(&req->out_headers), "X-Number: 7\r\n");
	cr_expect_eq(req->fail.err, ERR_BUG);
	cr_expect(response_has_header(req, "x-number"));
	cr_expect_not(response_has_header(req, "X-Num"));
	request_free(req);
	memory_answer_fini(&answer);
}

Test(response, an_empty_answer_has_no_body_and_no_type)
{
	struct http_request *req = make("REQUEST_METHOD=DELETE");
	const char *text;

	buf_adds(&req->out, "left over");
	(void)response_empty(req, 204);
	text = finish(req);
	cr_expect_eq(strncmp(text, "Status: 204 No Content\r\n", 24), 0);
	cr_expect_not(has(text, "Content-Type:"));
	cr_expect_not(has(text, "Content-Length"));
	cr_expect_str_eq(text + strlen(text) - 4, "\r\n\r\n");
	memory_answer_fini(&answer);
}

Test(response, head_has_the_length_and_not_the_body)
{
	struct http_request *req = make("REQUEST_METHOD=HEAD");
	const char *text;

	(void)response_json_text(req, 200, "{\"a\":1}", 7);
	text = finish(req);
	cr_expect(has(text, "Content-Length: 7\r\n"));
	cr_expect_str_eq(text + strlen(text) - 4, "\r\n\r\n");
	memory_answer_fini(&answer);
}

Test(response, some_statuses_carry_a_header)
{
	const struct {
		int status;
		const char *header;
	} cases[] = {
		{ 401, "WWW-Authenticate: Bearer\r\n" },
		{ 429, "Retry-After: 1\r\n" },
		{ 503, "Retry-After: 1\r\n" },
		{ 799, "Status: 500 Internal Server Error\r\n" },
		{ 418, "Status: 418 Other\r\n" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct http_request *req = make("REQUEST_METHOD=GET");

		(void)response_json_text(req, cases[i].status, "{}", 2);
		cr_expect(has(finish(req), cases[i].header), "%s",
		    cases[i].header);
		memory_answer_fini(&answer);
	}
}

Test(response, nobody_answered_is_a_500)
{
	struct http_request *req = make("REQUEST_METHOD=GET");
	const char *text = finish(req);

	cr_expect(has(text, "Status: 500 "));
	cr_expect(has(text, "\"code\":\"internal_error\""));
	memory_answer_fini(&answer);
}

Test(response, an_answer_that_does_not_fit_is_a_503)
{
	struct http_request *req = make("REQUEST_METHOD=GET");
	const char *text;

	req->out.max = 300;
	for (int i = 0; i < 400; i++)
		buf_addc(&req->out, 'x');
	(void)response_json(req, 200);
	text = finish(req);
	cr_expect(has(text, "Status: 503 "));
	cr_expect(has(text, "\"code\":\"unavailable\""));
	cr_expect_not(has(text, "xxxx"));
	memory_answer_fini(&answer);
}

Test(response, headers_that_do_not_fit_are_a_503)
{
	struct http_request *req = make("REQUEST_METHOD=GET");

	for (int i = 0; i < 1000; i++)
		response_header(req, "X-Long", "0123456789");
	(void)response_json_text(req, 200, "{}", 2);
	cr_expect(has(finish(req), "Status: 503 "));
	memory_answer_fini(&answer);
}

Test(response, without_room_for_any_body_a_bare_503_is_left)
{
	struct http_request *req = make("REQUEST_METHOD=GET");
	const char *text;

	req->out.max = 3;
	(void)response_json_text(req, 200, "{....}", 6);
	text = finish(req);
	cr_expect_str_eq(text, "Status: 503 Service Unavailable\r\n"
			       "Retry-After: 1\r\nContent-Length: 0\r\n\r\n");
	memory_answer_fini(&answer);
}

Test(response, a_stream_sends_its_headers_at_once)
{
	struct http_request *req = make("REQUEST_METHOD=POST");
	const char *text;

	cr_assert_eq(stream_begin(req, 200, "text/event-stream"), OK);
	text = buf_str(&answer.bytes);
	cr_expect(req->streaming);
	cr_expect(has(text, "Status: 200 OK\r\n"));
	cr_expect(has(text, "Content-Type: text/event-stream; charset=utf-8"));
	cr_expect(has(text, "X-Accel-Buffering: no\r\n"));
	cr_expect(has(text, "Cache-Control: no-store\r\n"));
	cr_expect_not(has(text, "Content-Length"));
	cr_expect_eq(stream_write(req, "data: 1\n\n", 9), OK);
	cr_expect_eq(stream_write(req, "", 0), OK);
	cr_expect(has(finish(req), "\r\n\r\ndata: 1\n\n"));
	memory_answer_fini(&answer);
}

Test(response, a_stream_for_head_sends_no_body)
{
	struct http_request *req = make("REQUEST_METHOD=HEAD");
	const char *text;

	cr_assert_eq(stream_begin(req, 200, "text/event-stream"), OK);
	cr_expect_eq(stream_write(req, "data: 1\n\n", 9), OK);
	cr_expect(stream_writable(req));
	text = finish(req);
	cr_expect_str_eq(text + strlen(text) - 4, "\r\n\r\n");
	memory_answer_fini(&answer);
}

Test(response, a_client_that_left_stays_gone)
{
	struct http_request *req = make("REQUEST_METHOD=POST");

	cr_assert_eq(stream_begin(req, 200, "text/event-stream"), OK);
	answer.stuck = true;
	cr_expect_not(stream_writable(req));
	answer.gone = true;
	cr_expect_eq(stream_write(req, "x", 1), ERR_GONE);
	cr_expect(req->gone);
	answer.gone = false;
	cr_expect_eq(stream_write(req, "x", 1), ERR_GONE);
	cr_expect(stream_writable(req), "so that the next write says it");
	(void)finish(req);
	memory_answer_fini(&answer);
}

Test(response, a_stream_begun_for_nobody_is_gone)
{
	struct http_request *req = make("REQUEST_METHOD=POST");

	answer.gone = true;
	cr_expect_eq(stream_begin(req, 200, "text/event-stream"), ERR_GONE);
	cr_expect(req->gone);
	(void)finish(req);
	memory_answer_fini(&answer);
}

Test(response, a_stream_whose_headers_do_not_fit_can_still_be_answered)
{
	struct http_request *req = make("REQUEST_METHOD=POST");

	for (int i = 0; i < 1000; i++)
		response_header(req, "X-Long", "0123456789");
	cr_expect_eq(stream_begin(req, 200, "text/event-stream"), ERR_MEMORY);
	cr_expect_not(req->streaming);
	(void)response_json_text(req, 503, "{}", 2);
	cr_expect(has(finish(req), "Status: 503 "));
	memory_answer_fini(&answer);
}

Test(response, a_copy_of_a_stream_has_its_headers_and_bytes)
{
	struct http_request *req = make("REQUEST_METHOD=GET");
	struct http_copy copy;

	buf_init(&copy.headers, 1000);
	buf_init(&copy.body, 7);
	req->copy = &copy;
	response_header(req, "X-Call-Id", "1");
	cr_assert_eq(stream_begin(req, 200, "text/event-stream"), OK);
	cr_expect_eq(stream_write(req, "abc", 3), OK);
	cr_expect_eq(stream_write(req, "def", 3), OK);
	cr_expect_str_eq(buf_str(&copy.body), "abcdef");
	cr_expect(has(buf_str(&copy.headers), "X-Call-Id: 1\r\n"));
	cr_expect_eq(stream_write(req, "more", 4), OK);
	cr_expect_not(buf_ok(&copy.body)); /* the stream itself goes on */
	cr_expect(has(finish(req), "abcdefmore"));
	buf_fini(&copy.headers);
	buf_fini(&copy.body);
	memory_answer_fini(&answer);
}
