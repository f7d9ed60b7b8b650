/*
 * test_request.c - a request's accessors and its end.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "http/memory.h"
#include "http/request.h"
#include "http/response.h"

static struct http_request *
make(const char *const *envp, struct memory_answer *answer)
{
	struct http_request *req = NULL;

	cr_assert_eq(memory_request(envp, NULL, 0, answer, &req), OK);
	return req;
}

Test(request, a_new_one_has_no_null_strings)
{
	struct http_request *req = request_new();

	cr_assert_not_null(req);
	cr_expect_str_eq(req->path, "/");
	cr_expect_str_eq(req->query_text, "");
	cr_expect_str_eq(req->content_type, "");
	cr_expect_str_eq(req->remote_addr, "");
	cr_expect_str_eq(req->host, "localhost");
	cr_expect_str_eq(req->scheme, "http");
	cr_expect_str_eq(req->body, "");
	cr_expect_gt(req->started_us, 0);
	request_free(req);
	request_free(NULL);
}

Test(request, only_the_first_failure_is_recorded_and_it_is_cut)
{
	struct http_request *req = request_new();
	char text[500];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	cr_expect_eq(request_fail(req, ERR_SYSTEM, "%s", text), ERR_SYSTEM);
	cr_expect_eq(strlen(req->fail.detail), sizeof(req->fail.detail) - 1);
	cr_expect_eq(request_fail(req, ERR_BUG, "later"), ERR_BUG);
	cr_expect_eq(req->fail.err, ERR_SYSTEM);
	cr_expect_eq(req->fail.detail[0], 'x');
	request_free(req);
}

Test(request, a_malformed_id_is_missing)
{
	struct http_request *req = request_new();
	const char *text = NULL;
	struct uuid id;

	req->params[0] = (struct http_param){ "id", "not-an-id" };
	req->param_count = 1;
	cr_expect_eq(request_param_uuid(req, "id", &id, &text), ERR_MISSING);
	cr_expect_eq(request_param_uuid(req, "other", &id, NULL), ERR_MISSING);
	cr_expect_null(text);
	req->params[0].value = "0190163D-8694-739B-AEA5-966C26F8AD91";
	cr_expect_eq(request_param_uuid(req, "id", &id, NULL), OK);
	cr_expect_eq(request_param_uuid(req, "id", &id, &text), OK);
	cr_expect_str_eq(text, "0190163d-8694-739b-aea5-966c26f8ad91");
	cr_expect_str_eq(request_param(req, "nothing"), "");
	request_free(req);
}

Test(request, the_body_length_is_a_decimal_number)
{
	const struct {
		const char *text;
		enum err err;
		size_t len;
	} cases[] = {
		{ "CONTENT_LENGTH=12", OK, 12 },
		{ "CONTENT_LENGTH=", OK, 0 },
		{ "OTHER=1", OK, 0 },
		{ "CONTENT_LENGTH=-1", ERR_INPUT, 0 },
		{ "CONTENT_LENGTH=+1", ERR_INPUT, 0 },
		{ "CONTENT_LENGTH=1 ", ERR_INPUT, 0 },
		{ "CONTENT_LENGTH=0x10", ERR_INPUT, 0 },
		{ "CONTENT_LENGTH=99999999999999999999999", ERR_INPUT, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *const envp[] = { cases[i].text, NULL };
		size_t len = 99;

		cr_expect_eq(request_body_length(envp, &len), cases[i].err,
		    "%s", cases[i].text);
		cr_expect_eq(len, cases[i].len, "%s", cases[i].text);
	}
}

static void
note_finish(struct http_request *req, void *arg)
{
	bool *seen = arg;

	*seen = req->status == 204; /* the answer is made, req is alive */
}

Test(request, finish_calls_on_finish_before_the_request_is_gone)
{
	const char *const envp[] = { "REQUEST_METHOD=GET", "REQUEST_URI=/x",
		"REMOTE_ADDR=::1", NULL };
	struct memory_answer answer;
	struct http_request *req = make(envp, &answer);
	bool seen = false;

	req->on_finish = note_finish;
	req->on_finish_arg = &seen;
	req->route_pattern = "/x";
	req->log_model = "echo";
	(void)request_fail(req, ERR_BUSY, "some detail");
	(void)response_empty(req, 204);
	request_finish(req);
	cr_expect(seen);
	cr_expect(answer.finished);
	memory_answer_fini(&answer);
}

static bool
take_over(struct http_request *req, void *arg)
{
	int *calls = arg;

	(void)req;
	return (*calls)++ == 0;
}

Test(request, who_takes_an_answer_over_finishes_it_once)
{
	const char *const envp[] = { "REQUEST_METHOD=GET", "REQUEST_URI=/x",
		NULL };
	struct memory_answer answer;
	struct http_request *req = make(envp, &answer);
	int calls = 0;

	req->before_send = take_over;
	req->before_send_arg = &calls;
	(void)response_empty(req, 204);
	request_finish(req);
	cr_expect_eq(calls, 1);
	cr_expect_not(answer.finished);
	cr_expect_eq(answer.bytes.len, 0);
	request_finish(req);
	cr_expect_eq(calls, 1);
	cr_expect(answer.finished);
	memory_answer_fini(&answer);
}

Test(request, finish_records_a_client_that_left)
{
	const char *const envp[] = { "REQUEST_METHOD=GET", "REQUEST_URI=/",
		NULL };
	struct memory_answer answer;
	struct http_request *req = make(envp, &answer);

	answer.gone = true;
	(void)response_json_text(req, 200, "{}", 2);
	request_finish(req);
	cr_expect(answer.finished);
	cr_expect_eq(answer.bytes.len, 0);
	memory_answer_fini(&answer);
}
