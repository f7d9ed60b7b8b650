/*
 * test_context.c - what was said before, as far as a context has room.
 */
#include <criterion/criterion.h>

#include <string.h>

#include "api/context.h"

static const struct llm_message talk[] = {
	{ "user", "first question of forty characters......" },
	{ "assistant", "first answer of forty characters........" },
	{ "user", "second question of forty characters....." },
	{ "assistant", "second answer of forty characters......." },
	{ "user", "third question" },
};

#define TALK (sizeof(talk) / sizeof(talk[0]))

static char name[] = "m";

/* The request for a model with a context of so many tokens. */
static const char *
request_of(struct http_request *req, int64_t context,
    const struct llm_message *messages, size_t count)
{
	static const struct call_sink sink;
	static struct catalog_target target;
	struct call *call;

	target = (struct catalog_target){ .model = name, .context = context };
	call = call_new(req, &sink, NULL);
	cr_assert_not_null(call);
	call->target = &target;
	cr_assert_eq(context_request(req, call, messages, count), OK);
	cr_assert_eq(call->request_len, strlen(call->request_json));
	return call->request_json;
}

Test(context, what_fits_is_sent_whole_and_in_order)
{
	struct http_request *req = request_new();

	cr_expect_str_eq(request_of(req, 0, talk + 2, 3),
	    "{\"model\":\"m\",\"messages\":["
	    "{\"role\":\"user\","
	    "\"content\":\"second question of forty characters.....\"},"
	    "{\"role\":\"assistant\","
	    "\"content\":\"second answer of forty characters.......\"},"
	    "{\"role\":\"user\",\"content\":\"third question\"}]}");
	cr_expect_not_null(strstr(request_of(req, 200, talk, TALK), "first q"));
	request_free(req);
}

Test(context, what_does_not_fit_is_left_out_from_the_oldest)
{
	struct http_request *req = request_new();
	const char *text = request_of(req, 50, talk, TALK);

	cr_expect_null(strstr(text, "first"));
	cr_expect_not_null(strstr(text, "second question"));
	request_free(req);
}

Test(context, an_answer_goes_with_its_question)
{
	struct http_request *req = request_new();
	const char *text = request_of(req, 32, talk, TALK);

	cr_expect_null(strstr(text, "second"));
	cr_expect_not_null(strstr(text, "third"));
	request_free(req);
}

Test(context, the_question_is_sent_whatever_its_length)
{
	struct http_request *req = request_new();
	const struct llm_message only = { "user", talk[0].content };

	cr_expect_not_null(strstr(request_of(req, 1, &only, 1), "forty"));
	request_free(req);
}

Test(context, as_many_bytes_are_read_as_can_be_of_use)
{
	struct http_request *req = request_new();
	struct catalog_target target = { .context = 0 };

	cr_expect_str_eq(context_bytes(req, &target), "128000");
	target.context = 1000;
	cr_expect_str_eq(context_bytes(req, &target), "8000");
	target.context = INT64_MAX;
	cr_expect_str_eq(context_bytes(req, &target), "16777216");
	request_free(req);
}
