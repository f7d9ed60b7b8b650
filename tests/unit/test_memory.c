/*
 * test_memory.c - the transport of tests behaves like the real ones.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "http/memory.h"
#include "http/problem.h"
#include "http/response.h"

static const char *const envp[] = { "REQUEST_METHOD=POST", "REQUEST_URI=/x",
	NULL };

Test(memory, the_body_is_a_copy)
{
	char body[] = "{\"a\":1}";
	struct http_request *req = NULL;
	struct memory_answer answer;

	cr_assert_eq(memory_request(envp, body, 7, &answer, &req), OK);
	body[0] = 'x';
	cr_expect_str_eq(req->body, "{\"a\":1}");
	cr_expect_eq(req->body_len, 7);
	cr_expect_eq(req->transport->fd(req), -1);
	request_free(req);
	memory_answer_fini(&answer);
}

Test(memory, a_broken_path_is_still_a_request)
{
	const char *const bad[] = { "REQUEST_METHOD=GET", "REQUEST_URI=/%",
		NULL };
	struct http_request *req = NULL;
	struct memory_answer answer;

	cr_assert_eq(memory_request(bad, NULL, 0, &answer, &req), OK);
	cr_expect_eq(req->fail.err, ERR_INPUT);
	request_free(req);
	memory_answer_fini(&answer);
}

Test(memory, finish_frees_and_says_so)
{
	struct http_request *req = NULL;
	struct memory_answer answer;

	cr_assert_eq(memory_request(envp, NULL, 0, &answer, &req), OK);
	cr_expect_not(answer.finished);
	(void)response_empty(req, 204);
	request_finish(req);
	cr_expect(answer.finished);
	cr_expect_gt(answer.bytes.len, 0);
	memory_answer_fini(&answer);
}

Test(memory, stuck_and_gone_are_the_tests_to_set)
{
	struct http_request *req = NULL;
	struct memory_answer answer;

	cr_assert_eq(memory_request(envp, NULL, 0, &answer, &req), OK);
	cr_expect(req->transport->writable(req));
	answer.stuck = true;
	cr_expect_not(req->transport->writable(req));
	cr_expect_eq(req->transport->write(req, "x", 1), OK);
	cr_expect_eq(req->transport->flush(req), OK);
	answer.gone = true;
	cr_expect_eq(req->transport->write(req, "x", 1), ERR_GONE);
	cr_expect_eq(req->transport->flush(req), ERR_GONE);
	cr_expect_str_eq(buf_str(&answer.bytes), "x");
	req->transport->finish(req);
	memory_answer_fini(&answer);
}

/*
 * The allocator fails the n-th call after fail_after(n), in builds without a
 * sanitizer (which has its own allocator).
 */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

void *__libc_malloc(size_t len);
void *__libc_calloc(size_t count, size_t len);
void *__libc_realloc(void *old, size_t len);

static _Thread_local long calls_left = -1;

static bool
is_refused(void)
{
	return calls_left >= 0 && calls_left-- == 0;
}

void *
malloc(size_t len)
{
	return is_refused() ? NULL : __libc_malloc(len);
}

void *
calloc(size_t count, size_t len)
{
	return is_refused() ? NULL : __libc_calloc(count, len);
}

void *
realloc(void *old, size_t len)
{
	return is_refused() ? NULL : __libc_realloc(old, len);
}

static const char *const full_envp[] = { "REQUEST_METHOD=POST",
	"REQUEST_URI=/v1/chats?a=1&b=2", "HTTP_X_API_KEY=k", "HTTP_HOST=h",
	"CONTENT_TYPE=application/json", "REMOTE_ADDR=::1", NULL };

/* Several arena chunks, so that more than the first allocation matters. */
static enum err
read_long(struct memory_answer *answer, struct http_request **out)
{
	static char body[100000];

	return memory_request(full_envp, body, sizeof(body), answer, out);
}

Test(memory, whichever_allocation_of_a_request_fails_it_is_an_error)
{
	struct memory_answer answer;
	struct http_request *req;
	enum err err;
	long failed = 0;

	do {
		req = NULL;
		calls_left = failed++;
		err = read_long(&answer, &req);
		calls_left = -1;
		cr_assert(err == OK || err == ERR_MEMORY);
		if (err == OK)
			request_free(req);
	} while (err != OK);
	cr_expect_gt(failed, 2);
}

static void
reply_at_length(struct http_request *req)
{
	struct problem_fields *bad = problem_fields(req);

	for (int i = 0; i < 100; i++)
		problem_field(bad, "a_field", "must have %0100d", i);
	response_headerf(req, "X-Value", "%d", 1);
	(void)problem_fields_reply(bad);
	request_finish(req);
}

Test(memory, whichever_allocation_of_an_answer_fails_there_is_an_answer)
{
	const char *text;

	for (long failed = 0; failed < 600; failed++) {
		struct http_request *req = NULL;
		struct memory_answer answer;

		cr_assert_eq(read_long(&answer, &req), OK);
		buf_adds(&answer.bytes, "-"); /* its own memory is there */
		calls_left = failed;
		reply_at_length(req);
		calls_left = -1;
		text = buf_str(&answer.bytes);
		cr_assert(answer.finished);
		if (answer.bytes.len > 1)
			cr_assert_eq(strncmp(text, "-Status: ", 9), 0);
		memory_answer_fini(&answer);
	}
}

#endif
