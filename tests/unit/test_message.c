/*
 * test_message.c - a message from a body, as JSON, and its metadata merged.
 */
#include "api/message.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/buf.h"
#include "http/memory.h"

static struct memory_answer answer;
static struct http_request *req;
static struct message message;

static void
setup(void)
{
	const char *const envp[] = { "REQUEST_METHOD=POST", "REQUEST_URI=/",
		NULL };

	cr_assert_eq(memory_request(envp, NULL, 0, &answer, &req), OK);
}

static void
teardown(void)
{
	request_finish(req);
	memory_answer_fini(&answer);
}

TestSuite(message, .init = setup, .fini = teardown);

static struct jsonr *
parse(const char *text)
{
	struct jsonr *value = NULL;

	cr_assert_eq(jsonr_parse(req->arena, text, strlen(text), &value, NULL),
	    OK, "%s", text);
	return value;
}

/* The faults as the client is told them; "" without one. */
static const char *
faults(void)
{
	if (!problem_fields_any(&req->bad))
		return "";
	(void)problem_fields_reply(&req->bad);
	return buf_str(&req->out);
}

static void
expect_merged(const char *old, const char *change, const char *merged)
{
	const char *got = message_merge(req->arena, old, change);

	cr_assert_not_null(got);
	cr_expect_str_eq(got, merged);
}

Test(message, what_is_not_sent_has_a_default)
{
	message_read(&req->bad,
	    parse("{\"role\":\"user\",\"content\":\"x\",\"name\":null}"),
	    &message);
	cr_expect_str_eq(faults(), "");
	cr_expect_str_eq(message.role, "user");
	cr_expect_str_eq(message.metadata, "{}");
	cr_expect_null(message.name);
	cr_expect_null(message.tool_calls);
	cr_expect_eq(message.tokens, -1);
	cr_expect_eq(message.cost_pico, -1);
}

Test(message, faults_carry_the_prefix_of_their_batch)
{
	req->bad.prefix = "messages[3].";
	message_read(&req->bad, parse("{\"role\":\"x\",\"tokens\":-1}"),
	    &message);
	req->bad.prefix = NULL;
	cr_expect_not_null(strstr(faults(), "\"messages[3].role\""));
	cr_expect_not_null(strstr(faults(), "\"messages[3].content\""));
	cr_expect_not_null(strstr(faults(), "\"messages[3].tokens\""));
}

Test(message, a_change_has_only_what_was_sent)
{
	message_read_change(&req->bad,
	    parse("{\"latency\":5,\"role\":\"system\"}"), &message);
	cr_expect_str_eq(faults(), "");
	cr_expect_null(message.content);
	cr_expect_null(message.metadata);
	cr_expect_null(message.role);
	cr_expect_eq(message.latency, 5);
	cr_expect_eq(message.tokens, -1);
}

Test(message, json_of_a_client_is_written_as_it_came)
{
	struct buf out;
	struct jsonw w;

	message_read(&req->bad,
	    parse("{\"role\":\"tool\",\"content\":\"a\\\"b\","
		  "\"metadata\":{\"n\": 1.50}}"),
	    &message);
	buf_init(&out, 4096);
	jsonw_init(&w, &out);
	message_write(&w, &message);
	cr_expect_not_null(strstr(buf_str(&out), "\"content\":\"a\\\"b\""));
	cr_expect_not_null(strstr(buf_str(&out), "\"metadata\":{\"n\": 1.50}"));
	cr_expect_not_null(strstr(buf_str(&out), "\"toolCalls\":null"));
	cr_expect_not_null(strstr(buf_str(&out), "\"tokens\":0"));
	cr_expect_null(strstr(buf_str(&out), "\"cost\""));
	buf_reset(&out);
	jsonw_init(&w, &out);
	message.id = "1";
	message_write_record(&w, &message);
	cr_expect_str_eq(buf_str(&out),
	    "{\"id\":\"1\",\"role\":\"tool\",\"content\":\"a\\\"b\","
	    "\"metadata\":{\"n\": 1.50}}");
	buf_fini(&out);
}

Test(message, an_answer_names_model_cost_and_call)
{
	struct buf out;
	struct jsonw w;

	message = (struct message){ .model = "m",
		.call_id = "c",
		.metadata = "{}",
		.cost_pico = 1500000 };
	buf_init(&out, 4096);
	jsonw_init(&w, &out);
	message_write(&w, &message);
	cr_expect_not_null(strstr(buf_str(&out),
	    "\"model\":\"m\",\"cost\":0.0000015,\"callId\":\"c\""));
	buf_fini(&out);
}

Test(message, merging_keeps_texts_and_places)
{
	expect_merged("{\"a\":1.50,\"b\" : [1e2],\"c\":{}}",
	    "{\"b\":2.00,\"d\":null}",
	    "{\"a\":1.50,\"b\":2.00,\"c\":{},\"d\":null}");
	expect_merged("{}", "{}", "{}");
	expect_merged("{\"a\":1}", "{}", "{\"a\":1}");
	expect_merged("{}", "{\"a\":{\"b\":1}}", "{\"a\":{\"b\":1}}");
	/* one level only */
	expect_merged("{\"a\":{\"x\":1}}", "{\"a\":{\"y\":2}}",
	    "{\"a\":{\"y\":2}}");
}

Test(message, merging_compares_keys_not_their_spelling)
{
	expect_merged("{\"\\u0061\":1}", "{\"a\":2}", "{\"a\":2}");
	expect_merged("{\"\\n\\\"\":1}", "{\"x\":2}",
	    "{\"\\n\\\"\":1,\"x\":2}");
	expect_merged("{\"\\u0001\\u0001\\u0001\":1}", "{\"\\u0002\":2}",
	    "{\"\\u0001\\u0001\\u0001\":1,\"\\u0002\":2}");
}
