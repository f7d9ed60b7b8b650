/*
 * test_openai.c - OpenAI's formats: the request built, answers read, errors
 * mapped; and echo, which speaks them.
 */
#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "http/sse.h"
#include "llm/echo.h"
#include "llm/provider.h"
#include "json/read.h"

static char name[] = "p", model[] = "m", upstream[] = "up", url[] = "https://h",
	    key[] = "sk-1234567890";

struct bench {
	struct http_request *req;
	struct catalog_provider provider;
	struct catalog_target target;
	struct call *call;
};

static void
start(struct bench *bench, const char *request, bool stream)
{
	bench->req = request_new();
	bench->provider = (struct catalog_provider){
		.name = name, .kind = &llm_openai, .base_url = url, .key = key
	};
	bench->target = (struct catalog_target){ .provider = &bench->provider,
		.model = model,
		.upstream_model = upstream };
	bench->call = call_new(bench->req, NULL, NULL);
	cr_assert(bench->call != NULL);
	bench->call->target = &bench->target;
	bench->call->stream = stream;
	bench->call->request_json = request;
	bench->call->request_len = strlen(request);
}

static void
stop(struct bench *bench)
{
	request_free(bench->req);
}

static void
expect_body(const char *request, bool stream, const char *body)
{
	struct llm_request out;
	struct bench bench;

	start(&bench, request, stream);
	cr_assert_eq(llm_openai.build(bench.req->arena, bench.call, &out), OK);
	cr_expect_str_eq(out.body, body);
	cr_expect_eq(out.body_len, strlen(body));
	cr_expect_str_eq(out.url, "https://h/chat/completions");
	stop(&bench);
}

Test(openai, every_other_member_passes_with_its_own_text)
{
	expect_body("{\"temperature\":1.0E+2,\"model\":\"x\",\"stream\":true,"
		    "\"seed\":12345678901234567890, \"\\u00e4\":[1, {\"b\":2}],"
		    "\"stop\":null}",
	    false,
	    "{\"model\":\"up\",\"temperature\":1.0E+2,"
	    "\"seed\":12345678901234567890,\"\xc3\xa4\":[1, {\"b\":2}],"
	    "\"stop\":null,\"stream\":false}");
}

Test(openai, usage_is_always_asked_of_a_stream)
{
	expect_body("{}", true,
	    "{\"model\":\"up\",\"stream\":true,"
	    "\"stream_options\":{\"include_usage\":true}}");
	expect_body("{\"stream_options\":{\"x\":1,\"include_usage\":false}}",
	    true,
	    "{\"model\":\"up\",\"stream\":true,"
	    "\"stream_options\":{\"x\":1,\"include_usage\":true}}");
	expect_body("{\"stream_options\":{\"x\":1}}", false,
	    "{\"model\":\"up\",\"stream\":false}");
}

static void
expect_ceiling(const char *base_url, const char *request, const char *body)
{
	struct llm_request out;
	struct bench bench;

	start(&bench, request, false);
	bench.provider.base_url = arena_strdup(bench.req->arena, base_url);
	bench.call->answer_max = 4096;
	cr_assert_eq(llm_openai.build(bench.req->arena, bench.call, &out), OK);
	cr_expect_str_eq(out.body, body, "%s: %s", base_url, out.body);
	stop(&bench);
}

Test(openai, a_ceiling_has_the_name_that_the_server_keeps_to)
{
	static const char *const newer[] = { "https://api.openai.com/v1",
		"https://EU.api.OpenAI.com:443/v1", "https://openai.com",
		"https://x.openai.azure.com/openai/v1" };
	static const char *const older[] = { "https://h",
		"http://127.0.0.1:8000/v1", "https://notopenai.com/v1",
		"https://h/openai.com", "https://openai.com.h/v1", "h" };

	for (size_t i = 0; i < sizeof(newer) / sizeof(newer[0]); i++)
		expect_ceiling(newer[i], "{\"max_tokens\":null,\"n\":2}",
		    "{\"model\":\"up\",\"n\":2,"
		    "\"max_completion_tokens\":4096,\"stream\":false}");
	for (size_t i = 0; i < sizeof(older) / sizeof(older[0]); i++)
		expect_ceiling(older[i], "{\"max_completion_tokens\":null}",
		    "{\"model\":\"up\",\"max_tokens\":4096,"
		    "\"stream\":false}");
}

Test(openai, the_key_is_a_header_and_never_breaks_one)
{
	static char split[] = "sk\r\nX-Evil: 1";
	struct llm_request out;
	struct bench bench;

	start(&bench, "{}", true);
	cr_assert_eq(llm_openai.build(bench.req->arena, bench.call, &out), OK);
	cr_expect_str_eq(out.headers[0], "Content-Type: application/json");
	cr_expect_str_eq(out.headers[1], "Accept: text/event-stream");
	cr_expect_str_eq(out.headers[2], "Authorization: Bearer sk-1234567890");
	cr_expect(out.headers[3] == NULL);
	bench.provider.key = NULL;
	cr_assert_eq(llm_openai.build(bench.req->arena, bench.call, &out), OK);
	cr_expect(out.headers[2] == NULL);
	bench.provider.key = split;
	cr_expect_eq(llm_openai.build(bench.req->arena, bench.call, &out),
	    ERR_UPSTREAM);
	stop(&bench);
}

Test(openai, a_request_that_is_no_object_is_refused)
{
	struct llm_request out;
	struct bench bench;

	start(&bench, "[1]", true);
	cr_expect_eq(llm_openai.build(bench.req->arena, bench.call, &out),
	    ERR_INPUT);
	stop(&bench);
	start(&bench, "{", true);
	cr_expect_eq(llm_openai.build(bench.req->arena, bench.call, &out),
	    ERR_INPUT);
	stop(&bench);
}

static enum err
read_event(struct bench *bench, const char *data, struct call_event *event)
{
	*event = (struct call_event){ .data = data, .data_len = strlen(data) };
	return openai_read_event(bench->call, event);
}

Test(openai, events_give_text_tools_usage_and_the_end)
{
	struct call_event event;
	struct bench bench;

	start(&bench, "{}", true);
	cr_expect_eq(read_event(&bench,
			 "{\"choices\":[{\"index\":1,\"delta\":{\"content\":"
			 "\"other\"}},{\"index\":0,\"delta\":{\"content\":"
			 "\"a\\nb\"}}]}",
			 &event),
	    OK);
	cr_expect_str_eq(event.text, "a\nb");
	cr_expect_eq(event.text_len, 3);
	cr_expect_not(event.finished || event.tool || event.usage_only);
	cr_expect_eq(read_event(&bench,
			 "{\"choices\":[{\"delta\":{\"tool_calls\":[{}]},"
			 "\"finish_reason\":\"tool_calls\"}],\"usage\":null}",
			 &event),
	    OK);
	cr_expect(event.tool && event.finished);
	cr_expect_str_eq(event.text, "");
	cr_expect_eq(read_event(&bench,
			 "{\"choices\":[],\"usage\":{\"prompt_tokens\":9,"
			 "\"completion_tokens\":4,\"completion_tokens_details\""
			 ":{\"reasoning_tokens\":2}}}",
			 &event),
	    OK);
	cr_expect(event.usage_only);
	cr_expect_eq(bench.call->usage.prompt, 9);
	cr_expect_eq(bench.call->usage.completion, 4);
	cr_expect_eq(bench.call->usage.reasoning, 2);
	cr_expect_eq(bench.call->usage.cached, -1);
	cr_expect_eq(read_event(&bench, "[DONE]", &event), OK);
	cr_expect(event.done);
	cr_expect_str_eq(buf_str(&bench.call->text), "a\nb");
	stop(&bench);
}

Test(openai, garbage_and_errors_in_a_stream_are_failures)
{
	static const char *const bad[] = { "", "{", "1", "[]", "{\"a\":NaN}",
		"{\"a\":1,\"a\":2}", "{\"a\":\"\xff\"}", "[DONE] ",
		"{\"error\":{\"message\":\"x\"}}" };
	struct call_event event;
	struct bench bench;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		start(&bench, "{}", true);
		cr_expect_eq(read_event(&bench, bad[i], &event), ERR_UPSTREAM,
		    "%s", bad[i]);
		stop(&bench);
	}
}

Test(openai, odd_but_harmless_events_add_nothing)
{
	static const char *const odd[] = { "{}", "{\"choices\":null}",
		"{\"choices\":[]}", "{\"choices\":[1]}",
		"{\"choices\":[{\"delta\":{\"content\":null}}]}",
		"{\"choices\":[{\"delta\":{\"content\":7}}]}",
		"{\"choices\":[],\"usage\":{\"prompt_tokens\":-1}}" };
	struct call_event event;
	struct bench bench;

	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		start(&bench, "{}", true);
		cr_expect_eq(read_event(&bench, odd[i], &event), OK, "%s",
		    odd[i]);
		cr_expect_eq(event.text_len, 0);
		cr_expect_eq(bench.call->usage.prompt, -1);
		stop(&bench);
	}
}

/* Is all finished after the event? */
static bool
is_finished(struct bench *bench, const char *data)
{
	struct call_event event;

	cr_expect_eq(read_event(bench, data, &event), OK, "%s", data);
	return event.finished;
}

#define END(index) \
	"{\"choices\":[{\"index\":" index ",\"finish_reason\":\"stop\"}]}"

Test(openai, all_choices_that_were_asked_for_have_to_be_finished)
{
	struct bench bench;

	start(&bench, "{}", true);
	bench.call->choices = 3;
	cr_expect_not(is_finished(&bench, END("0")));
	cr_expect_not(is_finished(&bench, END("0")));
	cr_expect_not(is_finished(&bench, END("2")));
	cr_expect_not(is_finished(&bench, END("128")));
	cr_expect_not(is_finished(&bench,
	    "{\"choices\":[{\"index\":1,\"finish_reason\":null}]}"));
	cr_expect_not(is_finished(&bench,
	    "{\"choices\":[{\"index\":1,\"finish_reason\":\"\"}]}"));
	cr_expect(is_finished(&bench, END("1")));
	cr_expect(is_finished(&bench, "{\"choices\":[]}"), "and stay so");
	stop(&bench);
	start(&bench, "{}", true);
	bench.call->choices = 0;
	cr_expect_not(is_finished(&bench, END("0")), "who knows");
	stop(&bench);
}

Test(openai, every_choice_of_an_event_counts)
{
	struct call_event event;
	struct bench bench;

	start(&bench, "{}", true);
	cr_expect_eq(read_event(&bench,
			 "{\"choices\":[{\"index\":1,\"delta\":{\"content\":"
			 "\"other\"}},{\"index\":0,\"delta\":{\"tool_calls\":["
			 "{\"function\":{\"arguments\":\"{}\"}}]}}]}",
			 &event),
	    OK);
	cr_expect_eq(bench.call->generated, 7);
	cr_expect_eq(read_event(&bench,
			 "{\"choices\":[{\"delta\":{\"reasoning_content\":"
			 "\"so\"}}]}",
			 &event),
	    OK);
	cr_expect_eq(bench.call->generated, 9);
	stop(&bench);
}

static enum err
read_body(struct bench *bench, const char *body)
{
	start(bench, "{}", false);
	buf_adds(&bench->call->body, body);
	return openai_read_body(bench->call);
}

Test(openai, a_whole_answer_gives_text_and_usage)
{
	struct bench bench;

	cr_expect_eq(read_body(&bench,
			 "{\"choices\":[{\"message\":{\"content\":\"hi\"}}],"
			 "\"usage\":{\"prompt_tokens\":1}}"),
	    OK);
	cr_expect_str_eq(buf_str(&bench.call->text), "hi");
	cr_expect_eq(bench.call->usage.prompt, 1);
	stop(&bench);
	cr_expect_eq(read_body(&bench,
			 "{\"choices\":[{\"message\":{\"content\":null,"
			 "\"tool_calls\":[1]}}]}"),
	    OK);
	cr_expect_str_eq(buf_str(&bench.call->text),
	    "{\"content\":null,\"tool_calls\":[1]}");
	stop(&bench);
	cr_expect_eq(read_body(&bench,
			 "{\"choices\":[{\"message\":{\"content\":\"hi\","
			 "\"reasoning\":\"so\"}},{\"index\":1,\"message\":{"
			 "\"content\":\"ho\"}}]}"),
	    OK);
	cr_expect_eq(bench.call->generated, 6, "all of it");
	stop(&bench);
}

Test(openai, a_whole_answer_without_choices_is_garbage)
{
	static const char *const bad[] = { "", "null", "{}", "{\"choices\":[]}",
		"{\"choices\":{}}", "<html>", "{\"error\":{}}" };
	struct bench bench;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_expect_eq(read_body(&bench, bad[i]), ERR_UPSTREAM, "%s",
		    bad[i]);
		stop(&bench);
	}
}

static void
expect_error(int status, const char *body, const char *code, int ours,
    const char *detail)
{
	struct bench bench;

	start(&bench, "{}", false);
	buf_adds(&bench.call->body, body);
	bench.call->upstream_status = status;
	openai_map_error(bench.call);
	cr_expect_str_eq(bench.call->error_code, code);
	cr_expect_eq(bench.call->error_status, ours, "%d", status);
	if (detail != NULL)
		cr_expect_str_eq(bench.call->error_detail, detail);
	cr_expect(strstr(bench.call->error_detail, key) == NULL);
	stop(&bench);
}

#define ERROR(code, message) \
	"{\"error\":{\"code\":\"" code "\",\"message\":\"" message "\"}}"

Test(openai, every_status_has_its_meaning)
{
	expect_error(400, ERROR("x", "no such field"), "invalid_request", 400,
	    "no such field");
	expect_error(400, ERROR("context_length_exceeded", "too long"),
	    "context_length_exceeded", 400, "too long");
	expect_error(422, ERROR("x", "bad sk-1234567890!"), "invalid_request",
	    400, "bad ***!");
	expect_error(400, "<html>", "invalid_request", 400,
	    "The model provider refused the request.");
	expect_error(401, ERROR("x", "sk-1234567890"), "upstream_auth", 502,
	    "The model provider refused this server's credentials.");
	expect_error(403, "", "upstream_auth", 502, NULL);
	expect_error(404, ERROR("model_not_found", ""), "model_not_found", 404,
	    NULL);
	expect_error(404, ERROR("x", "model 'a' not found, try pulling it"),
	    "model_not_found", 404, NULL);
	expect_error(404, "not here", "upstream_not_found", 502, NULL);
	expect_error(413, "", "too_large", 413, NULL);
	expect_error(429, "", "rate_limit_exceeded", 429, NULL);
	expect_error(408, "", "upstream_timeout", 504, NULL);
	expect_error(500, ERROR("x", "secret detail"), "upstream_error", 502,
	    "The model provider failed.");
	expect_error(503, "", "upstream_overloaded", 503, NULL);
	expect_error(529, "", "upstream_overloaded", 503, NULL);
	expect_error(302, "", "upstream_error", 502, NULL);
}

Test(openai, a_short_key_keeps_all_words_back)
{
	static char star[] = "*";
	struct bench bench;

	start(&bench, "{}", false);
	bench.provider.key = star;
	buf_adds(&bench.call->body, ERROR("x", "a * b"));
	bench.call->upstream_status = 400;
	openai_map_error(bench.call);
	cr_expect_str_eq(bench.call->error_detail,
	    "The model provider refused the request.");
	stop(&bench);
}

static enum err
count_event(void *arg, const struct sse_event *event)
{
	struct bench *bench = arg;
	struct call_event out = { .data = event->data,
		.data_len = event->data_len };

	cr_expect_eq(openai_read_event(bench->call, &out), OK);
	bench->call->upstream_status++;
	return OK;
}

Test(echo, what_it_says_reads_back_as_the_prompt)
{
	static const char request[] =
	    "{\"messages\":[{\"role\":\"user\",\"content\":\"old\"},"
	    "{\"role\":\"user\",\"content\":[{\"text\":\"a \\\"b\\\"\\n\"},"
	    "{\"text\":\" \\u20ac c\"}]},{\"role\":\"assistant\"}]}";
	struct sse_parser parser;
	struct bench bench;
	struct echo *echo;
	struct buf out;
	int events = 1;

	start(&bench, request, true);
	cr_assert_eq(echo_new(bench.req->arena, bench.call, &echo), OK);
	buf_init(&out, 65536);
	while (echo_next(echo, &out))
		events++;
	cr_expect_eq(events, 5, "a word each, and the end");
	sse_parser_init(&parser);
	cr_expect_eq(sse_parser_feed(&parser, out.data, out.len, count_event,
			 &bench),
	    OK);
	cr_expect_str_eq(buf_str(&bench.call->text),
	    "a \"b\"\n \xe2\x82\xac c");
	cr_expect_eq(bench.call->usage.completion, 2);
	sse_parser_fini(&parser);
	buf_fini(&out);
	stop(&bench);
}

Test(echo, nothing_to_say_is_an_empty_answer)
{
	struct bench bench;
	struct echo *echo;
	struct buf out;

	start(&bench, "{\"messages\":[]}", false);
	cr_assert_eq(echo_new(bench.req->arena, bench.call, &echo), OK);
	buf_init(&out, 65536);
	cr_expect_not(echo_next(echo, &out));
	buf_adds(&bench.call->body, out.data);
	cr_expect_eq(openai_read_body(bench.call), OK);
	cr_expect_str_eq(buf_str(&bench.call->text), "");
	buf_fini(&out);
	stop(&bench);
}

Test(echo, an_endless_word_is_cut_into_events_between_characters)
{
	static char request[200 * 1024];
	struct bench bench;
	struct echo *echo;
	struct buf out;
	size_t len;

	len = (size_t)snprintf(request, sizeof(request),
	    "{\"messages\":[{\"role\":\"user\",\"content\":\"x");
	for (; len < sizeof(request) - 16; len += 3)
		memcpy(request + len, "\xe2\x82\xac", 3);
	memcpy(request + len, "\"}]}", 5);
	start(&bench, request, true);
	cr_assert_eq(echo_new(bench.req->arena, bench.call, &echo), OK);
	buf_init(&out, 1024 * 1024);
	while (echo_next(echo, &out))
		continue;
	cr_expect(buf_ok(&out));
	cr_expect(strstr(out.data, "\xef\xbf\xbd") == NULL);
	buf_fini(&out);
	stop(&bench);
}

Test(provider, kinds_are_found_by_name)
{
	cr_expect(provider_find("openai") == &llm_openai);
	cr_expect(provider_find("echo") == &llm_echo);
	cr_expect(provider_find("openais") == NULL);
	cr_expect(provider_find("") == NULL);
}
