/*
 * test_usage.c - the tokens of a call whose provider reported none.
 */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/request.h"
#include "llm/usage.h"
#include "json/read.h"

static struct jsonr *
parse(struct arena *arena, const char *text)
{
	struct jsonr *value;

	cr_assert_eq(jsonr_parse(arena, text, strlen(text), &value, NULL), OK,
	    "%s", text);
	return value;
}

static void
expect_prompt(const char *request, int64_t tokens)
{
	struct arena *arena = arena_new();
	int64_t found = usage_of_prompt(parse(arena, request));

	cr_expect_eq(found, tokens, "%s: %lld", request, (long long)found);
	arena_free(arena);
}

Test(usage, tokens_of_a_prompt_are_those_of_what_is_read)
{
	expect_prompt(
	    "{\"model\":\"a long name\",\"user\":\"somebody\",\"messages\":["
	    "{\"role\":\"system\",\"content\":\"12345678\"},"
	    "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":"
	    "\"1234\"},{\"type\":\"text\"}]},{\"content\":null},7],"
	    "\"metadata\":{\"a\":\"12345678\"},\"temperature\":0.123456,"
	    "\"stream\":true,\"stream_options\":{\"include_usage\":true}}",
	    2 + 1 + 1 + 1);
	expect_prompt("{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":["
		      "{\"id\":\"call_12345678\",\"type\":\"function\","
		      "\"function\":{\"name\":\"1234\",\"arguments\":"
		      "\"12345678\"}}]},{\"role\":\"tool\",\"tool_call_id\":"
		      "\"call_12345678\",\"content\":\"1234\"}]}",
	    4);
	expect_prompt("{}", 1);
	expect_prompt("[{\"messages\":\"12345678\"}]", 1);
}

Test(usage, tools_are_read_with_their_names)
{
	expect_prompt("{\"messages\":[{\"content\":\"1234\"}],"
		      "\"tools\":[{\"function\":{\"name\":\"weather\"}}]}",
	    4 / 4 + 33 / 4);
	expect_prompt("{\"response_format\":{\"type\":\"json_object\"}}",
	    22 / 4);
}

Test(usage, what_is_no_text_counts_by_its_kind)
{
	char request[20000], data[16001];

	memset(data, 'x', sizeof(data) - 1);
	data[sizeof(data) - 1] = '\0';
	snprintf(request, sizeof(request),
	    "{\"messages\":[{\"content\":[{\"type\":\"image_url\","
	    "\"image_url\":{\"url\":\"data:image/png;base64,%s\"}}]}]}",
	    data);
	expect_prompt(request, 1000);
	snprintf(request, sizeof(request),
	    "{\"messages\":[{\"content\":[{\"type\":\"file\","
	    "\"file\":{\"file_data\":\"%s\"}}]}]}",
	    data);
	expect_prompt(request, 1000 + 16000 / 8 / 4);
	snprintf(request, sizeof(request),
	    "{\"messages\":[{\"content\":[{\"type\":\"input_audio\","
	    "\"input_audio\":{\"data\":\"%s\"}}]}]}",
	    data);
	expect_prompt(request, 1000 + 16000 / 32 / 4);
}

static void
expect_generated(const char *message, int64_t characters)
{
	struct arena *arena = arena_new();
	struct call call = { .generated = 100 };

	usage_add(&call, parse(arena, message));
	cr_expect_eq(call.generated, 100 + characters, "%s: %lld", message,
	    (long long)call.generated);
	arena_free(arena);
}

Test(usage, everything_that_is_generated_counts)
{
	expect_generated("{\"role\":\"assistant\",\"content\":\"1234\"}", 4);
	expect_generated("{\"content\":\"\\u00e4\\u20ac\"}", 2);
	expect_generated("{\"content\":null,\"refusal\":\"12345\"}", 5);
	expect_generated("{\"tool_calls\":[{\"index\":0,\"id\":\"call_1\","
			 "\"type\":\"function\",\"function\":{\"name\":\"123\","
			 "\"arguments\":\"12345\"}},{\"index\":1,\"custom\":{"
			 "\"input\":\"12\"}}]}",
	    10);
	expect_generated("{\"function_call\":{\"arguments\":\"1234\"}}", 4);
	expect_generated("{\"content\":[{\"type\":\"thinking\",\"thinking\":"
			 "[{\"type\":\"text\",\"text\":\"1234\"}]}]}",
	    4);
	expect_generated("{\"audio\":{\"id\":\"a\",\"transcript\":\"1234\","
			 "\"data\":\"0123456789012345678901234567890\"}}",
	    5);
	expect_generated("{}", 0);
	expect_generated("null", 0);
}

Test(usage, reasoning_under_two_names_counts_once)
{
	expect_generated("{\"reasoning\":\"1234\",\"content\":\"1\","
			 "\"reasoning_content\":\"12345\"}",
	    6);
	expect_generated("{\"reasoning\":\"1234\",\"reasoning_details\":["
			 "{\"type\":\"reasoning.text\",\"text\":\"1234\"}]}",
	    4);
}

Test(usage, what_was_reported_stays)
{
	struct call call = { .usage = { 7, 9, -1, -1, false },
		.generated = 4000,
		.prompt_estimate = 5 };

	usage_estimate(&call);
	cr_expect_eq(call.usage.prompt, 7);
	cr_expect_eq(call.usage.completion, 9);
	cr_expect_not(call.usage.estimated);
}

Test(usage, what_was_not_reported_is_what_was_reserved_and_generated)
{
	struct call call = { .usage = { -1, -1, -1, -1, false },
		.generated = 4000,
		.prompt_estimate = 5 };

	usage_estimate(&call);
	cr_expect_eq(call.usage.prompt, 5);
	cr_expect_eq(call.usage.completion, 1000);
	cr_expect(call.usage.estimated);
}

Test(usage, the_answer_of_a_dead_worker_counts_as_that_of_a_living_one)
{
	struct call_row row = { .completion_tokens = -1,
		.cost_pico = 5,
		.answer_pico = 2,
		.response_text = "half an answer",
		.answer_chars = 4000 };

	usage_estimate_end(&row);
	cr_expect_eq(row.completion_tokens, 1000);
	cr_expect_eq(row.cost_pico, 5 + 2 * 1000);
	cr_expect(row.estimated);
	row.completion_tokens = -1;
	row.answer_chars = 0;
	usage_estimate_end(&row);
	cr_expect_eq(row.completion_tokens, 14 / 4, "its text at the least");
}
