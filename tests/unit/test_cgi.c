/*
 * test_cgi.c - one request by environment, stdin and stdout.
 *
 * Each test is a process of its own, so it may replace the descriptors.
 */
#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

#include "http/cgi.h"
#include "http/response.h"

static void
give_stdin(const char *text, size_t len)
{
	int ends[2];

	cr_assert_eq(pipe(ends), 0);
	cr_assert_eq(write(ends[1], text, len), (ssize_t)len);
	cr_assert_eq(close(ends[1]), 0);
	cr_assert_eq(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
}

static struct http_request *
read_request(const char *length, size_t body_max)
{
	const char *const envp[] = { "REQUEST_METHOD=POST", "PATH_INFO=/x",
		length, NULL };
	struct http_request *req = NULL;

	cr_assert_eq(cgi_read(envp, body_max, &req), OK);
	return req;
}

Test(cgi, the_body_has_content_length_bytes)
{
	struct http_request *req;

	give_stdin("hello and more", 14);
	req = read_request("CONTENT_LENGTH=5", 100);
	cr_expect_str_eq(req->body, "hello");
	cr_expect_eq(req->body_len, 5);
	cr_expect_eq(req->fail.err, OK);
	cr_expect_eq(req->transport->fd(req), -1);
	request_free(req);
}

Test(cgi, a_short_body_is_an_error)
{
	struct http_request *req;

	give_stdin("hell", 4);
	req = read_request("CONTENT_LENGTH=5", 100);
	cr_expect_eq(req->fail.err, ERR_INPUT);
	cr_expect_str_eq(req->body, "");
	cr_expect_eq(req->body_len, 0);
	request_free(req);
}

Test(cgi, a_body_over_the_ceiling_is_drained)
{
	struct http_request *req;
	char byte;

	give_stdin("0123456789", 10);
	req = read_request("CONTENT_LENGTH=10", 9);
	cr_expect_eq(req->fail.err, ERR_TOO_LARGE);
	cr_expect_eq(read(STDIN_FILENO, &byte, 1), 0);
	request_free(req);
}

Test(cgi, a_length_that_is_no_number_is_an_error)
{
	struct http_request *req = read_request("CONTENT_LENGTH=x", 100);

	cr_expect_eq(req->fail.err, ERR_INPUT);
	request_free(req);
}

Test(cgi, the_answer_goes_to_stdout)
{
	struct http_request *req = read_request("CONTENT_LENGTH=0", 100);
	char text[2048] = "";
	int ends[2], saved = dup(STDOUT_FILENO);

	cr_assert_eq(pipe(ends), 0);
	cr_assert_eq(dup2(ends[1], STDOUT_FILENO), STDOUT_FILENO);
	(void)close(ends[1]);
	(void)response_json_text(req, 200, "{}", 2);
	cr_expect(stream_writable(req));
	request_finish(req);
	cr_assert_eq(dup2(saved, STDOUT_FILENO), STDOUT_FILENO);
	cr_assert_gt(read(ends[0], text, sizeof(text) - 1), 0);
	cr_expect_eq(strncmp(text, "Status: 200 OK\r\n", 16), 0);
	cr_expect_str_eq(text + strlen(text) - 6, "\r\n\r\n{}");
}

Test(cgi, a_reader_that_left_is_gone)
{
	struct http_request *req = read_request("CONTENT_LENGTH=0", 100);
	int ends[2], saved = dup(STDOUT_FILENO);

	cr_assert_eq(pipe(ends), 0);
	(void)close(ends[0]);
	cr_assert_eq(dup2(ends[1], STDOUT_FILENO), STDOUT_FILENO);
	cr_expect_eq(stream_begin(req, 200, "text/plain"), ERR_GONE);
	cr_assert_eq(dup2(saved, STDOUT_FILENO), STDOUT_FILENO);
	request_finish(req);
}
