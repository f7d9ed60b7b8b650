/*
 * test_call.c - a call's failure, its row in the log, its answer.
 */
#include <criterion/criterion.h>

#include <string.h>

#include "http/memory.h"
#include "http/response.h"
#include "llm/call.h"
#include "json/read.h"

static char name[] = "p", model[] = "m", upstream[] = "up";

struct bench {
	struct memory_answer answer;
	struct http_request *req;
	struct catalog_provider provider;
	struct catalog_target target;
	struct call *call;
};

static void
start(struct bench *bench, const char *uri)
{
	const char *const envp[] = { "REQUEST_METHOD=POST", uri, NULL };

	memset(bench, 0, sizeof(*bench));
	cr_assert_eq(memory_request(envp, NULL, 0, &bench->answer, &bench->req),
	    OK);
	bench->provider.name = name;
	bench->target = (struct catalog_target){ .provider = &bench->provider,
		.model = model,
		.upstream_model = upstream };
	bench->call = call_new(bench->req, NULL, NULL);
	bench->call->target = &bench->target;
	bench->call->outlet = outlet_new(bench->req);
	bench->call->request_json = "{}";
}

static void
stop(struct bench *bench)
{
	if (!bench->answer.finished)
		request_free(bench->req);
	memory_answer_fini(&bench->answer);
}

Test(call, the_first_failure_counts)
{
	struct bench bench;

	start(&bench, "REQUEST_URI=/v1/x");
	call_fail(bench.call, "upstream_timeout", "it was slow");
	call_fail(bench.call, "upstream_tls", NULL);
	cr_expect_str_eq(bench.call->error_code, "upstream_timeout");
	cr_expect_str_eq(bench.call->error_detail, "it was slow");
	cr_expect_eq(bench.call->error_status, 504);
	cr_expect_eq(bench.call->error, ERR_TIMEOUT);
	stop(&bench);
}

Test(call, an_unknown_failure_is_ours)
{
	struct bench bench;

	start(&bench, "REQUEST_URI=/v1/x");
	call_fail(bench.call, "no such code", "internals");
	cr_expect_str_eq(bench.call->error_code, "internal_error");
	cr_expect_eq(bench.call->error_status, 500);
	stop(&bench);
}

Test(call, details_are_cut_between_characters)
{
	char detail[400];
	struct bench bench;

	for (size_t i = 0; i + 3 < sizeof(detail); i += 3)
		memcpy(detail + i, "\xe2\x82\xac", 4);
	start(&bench, "REQUEST_URI=/v1/x");
	call_fail(bench.call, "invalid_request", detail);
	cr_expect_eq(strlen(bench.call->error_detail), 198);
	stop(&bench);
}

Test(call, an_error_is_an_openai_object)
{
	struct bench bench;
	struct buf json;

	start(&bench, "REQUEST_URI=/v1/x");
	buf_init(&json, 4096);
	call_fail(bench.call, "rate_limit_exceeded", "say \"please\"");
	call_error_json(bench.call, &json);
	cr_expect_str_eq(buf_str(&json),
	    "{\"error\":{\"message\":\"say \\\"please\\\"\",\"type\":"
	    "\"rate_limit_error\",\"param\":null,"
	    "\"code\":\"rate_limit_exceeded\"}}");
	buf_fini(&json);
	stop(&bench);
}

Test(call, a_failed_call_is_answered_in_its_familys_shape)
{
	struct bench bench;

	start(&bench, "REQUEST_URI=/openai/question");
	call_fail(bench.call, "upstream_overloaded", NULL);
	bench.call->retry_after = 9;
	cr_expect_eq(call_problem(bench.call), ANSWERED);
	cr_expect_eq(bench.req->status, 503);
	request_finish(bench.req);
	cr_expect(strstr(bench.answer.bytes.data, "problem+json") != NULL);
	cr_expect(strstr(bench.answer.bytes.data, "Retry-After: 9") != NULL);
	cr_expect(strstr(bench.answer.bytes.data, "upstream_overloaded") !=
		  NULL);
	stop(&bench);
}

Test(call, the_row_is_what_is_known_now)
{
	struct call_row row;
	struct bench bench;

	start(&bench, "REQUEST_URI=/v1/x");
	bench.call->started_us = 1000;
	bench.call->started_wall_us = 5000000;
	call_fill_row(bench.call, &row);
	cr_expect_str_eq(row.status, "running");
	cr_expect_str_eq(row.model, "m");
	cr_expect_str_eq(row.request_text, "{}");
	cr_expect_str_eq(row.response_text, "");
	cr_expect(row.key_id == NULL);
	cr_expect_eq(row.latency_us, -1);
	cr_expect_eq(row.finished_us, -1);
	cr_expect_eq(row.http_status, -1);
	cr_expect_eq(row.prompt_tokens, -1);
	bench.call->end = CALL_COMPLETED;
	bench.call->ended_us = 3500;
	bench.call->first_token_us = 2000;
	bench.call->request_text = "question";
	call_fill_row(bench.call, &row);
	cr_expect_str_eq(row.status, "completed");
	cr_expect_eq(row.latency_us, 2500);
	cr_expect_eq(row.finished_us, 5002500);
	cr_expect_eq(row.first_token_us, 1000);
	cr_expect_str_eq(row.request_text, "question");
	stop(&bench);
}

static int64_t
choices_of(const char *text)
{
	struct arena *arena = arena_new();
	struct jsonr *request;
	int64_t choices;

	cr_assert_eq(jsonr_parse(arena, text, strlen(text), &request, NULL),
	    OK);
	choices = call_choices(request);
	arena_free(arena);
	return choices;
}

Test(call, choices_are_as_many_as_n_or_nobody_knows)
{
	cr_expect_eq(choices_of("{}"), 1);
	cr_expect_eq(choices_of("{\"n\":null}"), 1);
	cr_expect_eq(choices_of("{\"n\":2}"), 2);
	cr_expect_eq(choices_of("{\"n\":128}"), 128);
	cr_expect_eq(choices_of("{\"n\":129}"), 0);
	cr_expect_eq(choices_of("{\"n\":0}"), 0);
	cr_expect_eq(choices_of("{\"n\":2.0}"), 0);
	cr_expect_eq(choices_of("{\"n\":\"2\"}"), 0);
}
