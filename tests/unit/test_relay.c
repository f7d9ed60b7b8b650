/*
 * test_relay.c - the relay against a provider, a client and a journal that
 * misbehave.
 */
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <netdb.h>

#include "relay_bench.h"

#define SLOW_NAME_US 1500000
static atomic_int slow_names; /* resolved so far */

/* libcurl's too: one name takes its time. */
int
getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
    struct addrinfo **out)
{
	int (*real)(const char *, const char *, const struct addrinfo *,
	    struct addrinfo **);

	if (host != NULL && strcmp(host, "slow.invalid") == 0) {
		usleep(SLOW_NAME_US);
		atomic_fetch_add(&slow_names, 1);
		return EAI_AGAIN;
	}
	*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	return real(host, service, hints, out);
}

static bool
has(const char *text, const char *part)
{
	return strstr(text, part) != NULL;
}

static bool
ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

Test(relay, a_stream_passes_byte_by_byte_and_its_record_is_first)
{
	struct bench bench;
	char *answer;

	bench_start(&bench);
	answer = bench_ask(&bench, "stream", true);
	cr_expect(has(answer, "Status: 200"));
	cr_expect(has(answer, "text/event-stream"));
	cr_expect(has(answer,
	    FAKE_CHUNK("Hello") FAKE_CHUNK(" world") FAKE_STOP FAKE_DONE));
	cr_expect(ends_with(answer, FAKE_DONE));
	cr_expect_not(has(answer, "cached_tokens"), "nobody asked for usage");
	cr_expect(has(bench_line(&bench), "\tcompleted\tt\t11\t7\t3\t"));
	cr_expect(has(bench_line(&bench), "\tHello world\n"));
	/* (11 - 3) * 1000 + 3 * 100 + 7 * 2000 */
	cr_expect(has(bench_line(&bench), "\tf\t22300\t"));
	free(answer);
	bench_stop(&bench);
}

Test(relay, the_request_is_ours_in_model_and_options_and_the_clients_else)
{
	struct bench bench;

	bench_start(&bench);
	free(bench_ask(&bench, "stream", true));
	cr_expect_str_eq(bench.fake.body,
	    "{\"model\":\"up-m\",\"messages\":[{\"role\":\"user\","
	    "\"content\":\"one two three\"}],\"temperature\":0.70,"
	    "\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
	cr_expect(has(bench.fake.head, "Authorization: Bearer sk-test-"));
	cr_expect(has(bench.fake.head, "Content-Type: application/json"));
	cr_expect_not(has(bench.fake.head, "Expect:"));
	cr_expect_not(has(bench.fake.head, "Accept-Encoding"));
	bench_stop(&bench);
}

Test(relay, events_survive_any_split)
{
	struct bench bench;
	char *answer;

	bench_start(&bench);
	answer = bench_ask(&bench, "drip", true);
	cr_expect(has(answer, FAKE_CHUNK("Gr\xc3\xbc\xc3\x9f") FAKE_STOP));
	cr_expect(ends_with(answer, FAKE_DONE));
	cr_expect(has(bench_line(&bench), "\tGr\xc3\xbc\xc3\x9f\n"));
	free(answer);
	bench_stop(&bench);
}

Test(relay, tool_calls_pass_and_count_as_the_first_token)
{
	struct bench bench;
	char *answer;

	bench_start(&bench);
	answer = bench_ask(&bench, "tools", true);
	cr_expect(has(answer, FAKE_TOOL));
	/* estimated: 3 tokens of prompt, 1 of the call; latency, first token */
	cr_expect(has(bench_line(&bench), "\tcompleted\tt\t3\t1\t"));
	cr_expect_not(has(bench_line(&bench), "\t\\N\t200\t"));
	free(answer);
	bench_stop(&bench);
}

Test(relay, a_whole_answer_passes_as_it_came)
{
	struct bench bench;
	char *answer;

	bench_start(&bench);
	answer = bench_ask(&bench, "json", false);
	cr_expect(has(answer, "Status: 200"));
	cr_expect(has(answer, "\r\n\r\n{\"id\":\"y\",\"choices\":"));
	cr_expect(has(bench_line(&bench), "\tcompleted\tf\t5\t2\t"));
	cr_expect(has(bench_line(&bench), "\tFine.\n"));
	cr_expect(has(bench.fake.body, "\"stream\":false}"));
	free(answer);
	bench_stop(&bench);
}

Test(relay, unreported_usage_is_estimated_and_marked)
{
	struct bench bench;

	bench_start(&bench);
	free(bench_ask(&bench, "nousage", false));
	cr_expect(has(bench_line(&bench),
	    "\tcompleted\tf\t3\t2\t\\N\t\\N\tt\t7000\t"));
	bench_stop(&bench);
}

Test(relay, connections_to_the_provider_are_used_again)
{
	struct bench bench;

	bench_start(&bench);
	for (int i = 0; i < 5; i++)
		free(bench_ask(&bench, i % 2 == 0 ? "json" : "stream",
		    i % 2 != 0));
	cr_expect_eq(atomic_load(&bench.fake.requests), 5);
	cr_expect_eq(atomic_load(&bench.fake.connections), 1);
	bench_stop(&bench);
}

Test(relay, a_kept_connection_that_died_is_not_the_clients_problem)
{
	struct bench bench;
	char *answer;

	bench_start(&bench);
	free(bench_ask(&bench, "once", false));
	answer = bench_ask(&bench, "once", false);
	cr_expect(has(answer, "Status: 200"));
	cr_expect_eq(atomic_load(&bench.fake.connections), 2);
	cr_expect_eq(atomic_load(&bench.fake.requests), 3);
	free(answer);
	bench_stop(&bench);
}

/* It may have done what it was asked before it left. */
Test(relay, a_call_that_was_sent_is_billed_though_the_provider_is_gone)
{
	struct bench bench;
	char *answer;

	bench_start(&bench);
	free(bench_ask(&bench, "gone", false));
	answer = bench_ask(&bench, "gone", false);
	cr_expect(has(answer, "Status: 502"));
	cr_expect(has(answer, "upstream_truncated"), "%s", answer);
	cr_expect_eq(atomic_load(&bench.fake.requests), 2);
	/* 3 tokens of prompt by estimate */
	cr_expect(has(bench_line(&bench),
		      "\tfailed\tf\t3\t0\t\\N\t\\N\tt\t3000\t"),
	    "%s", bench_line(&bench));
	free(answer);
	bench_stop(&bench);
}

static void
expect_own_answer(const char *scenario)
{
	struct bench bench;
	char *answer;

	bench_start(&bench);
	free(bench_ask(&bench, scenario, false));
	cr_assert(reaches(&bench.fake.strays, 1));
	answer = bench_ask(&bench, scenario, false);
	cr_expect(has(answer, "Fine."), "%s: %s", scenario, answer);
	cr_expect_eq(atomic_load(&bench.fake.connections), 2);
	cr_expect_eq(atomic_load(&bench.fake.requests), 2);
	free(answer);
	bench_stop(&bench);
}

Test(relay, what_a_provider_says_unasked_is_nobodys_answer)
{
	expect_own_answer("more");
	expect_own_answer("later");
}

Test(relay, a_provider_without_tls_where_it_is_due_is_not_trusted)
{
	struct bench bench;
	struct client client;
	char *answer;

	bench_start(&bench);
	bench_scenario(&bench, "json");
	snprintf(bench.at->url, sizeof(bench.at->url),
	    "https://127.0.0.1:%d/json", bench.fake.port);
	cr_assert_eq(client_start(&bench, &client, false), OK);
	answer = client_answer(&client);
	cr_expect(has(answer, "Status: 502"));
	cr_expect(has(answer, "upstream_tls"));
	free(answer);
	bench_stop(&bench);
}

Test(relay, a_stream_without_its_terminator_ends_well_after_finish_reason)
{
	struct bench bench;
	char *answer;

	bench_start(&bench);
	answer = bench_ask(&bench, "nodone", true);
	cr_expect(ends_with(answer, FAKE_DONE));
	cr_expect(has(bench_line(&bench), "\tcompleted\t"));
	free(answer);
	bench_stop(&bench);
}

static void
expect_broken(const char *scenario, const char *code, const char *text)
{
	struct bench bench;
	char *answer;

	bench_start(&bench);
	answer = bench_ask(&bench, scenario, true);
	cr_expect(has(answer, "Status: 200"), "%s", scenario);
	cr_expect(has(answer, code), "%s: %s", scenario, answer);
	cr_expect_not(has(answer, "[DONE]"), "%s", scenario);
	cr_expect(has(bench_line(&bench), "\tfailed\t"), "%s", scenario);
	cr_expect(has(bench_line(&bench), code), "%s", scenario);
	cr_expect(has(bench_line(&bench), text), "%s", scenario);
	free(answer);
	bench_stop(&bench);
}

Test(relay, a_stream_that_breaks_ends_with_an_error_and_no_terminator)
{
	expect_broken("truncated", "upstream_truncated", "\thalf\n");
	expect_broken("reset", "upstream_truncated", "\thalf\n");
	expect_broken("garbage", "upstream_invalid", "\tok\n");
}

static void
expect_refused(const char *scenario, bool stream, const char *status,
    const char *code)
{
	struct bench bench;
	char *answer;

	bench_start(&bench);
	answer = bench_ask(&bench, scenario, stream);
	cr_expect(has(answer, status), "%s: %s", scenario, answer);
	cr_expect(has(answer, code), "%s: %s", scenario, answer);
	cr_expect_not(has(answer, "sk-test"), "%s: %s", scenario, answer);
	cr_expect(has(bench_line(&bench), code), "%s", scenario);
	cr_expect_not(has(bench_line(&bench), "sk-test"), "%s", scenario);
	free(answer);
	bench_stop(&bench);
}

Test(relay, what_the_provider_says_becomes_what_our_client_can_use)
{
	expect_refused("e400", true, "Status: 400", "invalid_request");
	expect_refused("e401", true, "Status: 502", "upstream_auth");
	expect_refused("e404", false, "Status: 404", "model_not_found");
	expect_refused("e429", true, "Status: 429", "rate_limit_exceeded");
	expect_refused("e500", false, "Status: 502", "upstream_error");
	expect_refused("e529", true, "Status: 503", "upstream_overloaded");
	expect_refused("redirect", false, "Status: 502", "upstream_error");
	expect_refused("rubbish", false, "Status: 502", "upstream_invalid");
	expect_refused("nonsense", false, "Status: 502", "upstream_invalid");
	expect_refused("oops", true, "Status: 502", "upstream_error");
	/* JSON where a stream was asked for, and the other way round */
	expect_refused("json", true, "Status: 502", "upstream_invalid");
	expect_refused("stream", false, "Status: 502", "upstream_invalid");
}

Test(relay, the_providers_words_and_retry_after_are_kept)
{
	struct bench bench;
	char *answer;

	bench_start(&bench);
	answer = bench_ask(&bench, "e429", true);
	cr_expect(has(answer, "Retry-After: 7\r\n"));
	free(answer);
	answer = bench_ask(&bench, "e400", true);
	cr_expect(has(answer, "temperature is *** wrong"));
	free(answer);
	bench_stop(&bench);
}

Test(relay, refused_calls_cost_nothing)
{
	struct bench bench;

	bench_start(&bench);
	free(bench_ask(&bench, "e500", true));
	cr_expect(has(bench_line(&bench),
	    "\tfailed\tt\t0\t0\t\\N\t\\N\tf\t0\t"));
	bench_stop(&bench);
}

Test(relay, an_unreachable_provider_is_a_502)
{
	struct bench bench;
	struct client client;
	char *answer;

	bench_start(&bench);
	bench_scenario(&bench, "x");
	snprintf(bench.at->url, sizeof(bench.at->url), "http://127.0.0.1:1/v1");
	cr_assert_eq(client_start(&bench, &client, true), OK);
	answer = client_answer(&client);
	cr_expect(has(answer, "Status: 502"));
	cr_expect(has(answer, "upstream_unreachable"));
	free(answer);
	bench_stop(&bench);
}

Test(relay, a_local_address_is_not_connected_to_unless_allowed)
{
	static const char *const hosts[] = { "127.0.0.1", "2130706433",
		"0x7f.1", "[::ffff:127.0.0.1]", "localhost" };
	struct bench bench;
	struct client client;
	char *answer;

	bench_start(&bench);
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		bench_scenario(&bench, "json");
		bench.at->provider.allow_local = false;
		snprintf(bench.at->url, sizeof(bench.at->url),
		    "https://%s:%d/json", hosts[i], bench.fake.port);
		cr_assert_eq(client_start(&bench, &client, false), OK);
		answer = client_answer(&client);
		cr_expect(has(answer, "upstream_unreachable"), "%s", hosts[i]);
		free(answer);
	}
	cr_expect_eq(atomic_load(&bench.fake.connections), 0);
	bench_stop(&bench);
}

Test(relay, a_silent_provider_is_a_504)
{
	struct bench bench;
	char *answer;

	bench_start(&bench);
	bench_set(&bench, &bench.config.first_byte_ms, 300);
	answer = bench_ask(&bench, "mute", true);
	cr_expect(has(answer, "Status: 504"));
	cr_expect(has(answer, "upstream_timeout"));
	cr_expect(reaches(&bench.fake.abandoned, 1));
	free(answer);
	bench_stop(&bench);
}

Test(relay, a_stream_that_falls_silent_is_cut)
{
	struct bench bench;
	char *answer;

	bench_start(&bench);
	bench_set(&bench, &bench.config.idle_ms, 300);
	answer = bench_ask(&bench, "hang", true);
	cr_expect(has(answer, FAKE_CHUNK("wait")));
	cr_expect(has(answer, "upstream_timeout"));
	cr_expect_not(has(answer, "[DONE]"));
	cr_expect(reaches(&bench.fake.abandoned, 1));
	free(answer);
	bench_stop(&bench);
}

Test(relay, a_call_has_a_total_deadline)
{
	struct bench bench;
	char *answer;

	bench_start(&bench);
	bench_set(&bench, &bench.config.total_ms, 400);
	answer = bench_ask(&bench, "hang", true);
	cr_expect(has(answer, "upstream_timeout"));
	free(answer);
	bench_stop(&bench);
}

Test(relay, a_client_that_leaves_cancels_the_provider_at_once)
{
	struct bench bench;
	struct client client;
	char part[256];
	int64_t left_us;

	bench_start(&bench);
	bench_scenario(&bench, "hang");
	cr_assert_eq(client_start(&bench, &client, true), OK);
	cr_assert_gt(recv(client.fd, part, sizeof(part), 0), 0);
	usleep(100000);
	close(client.fd);
	left_us = clock_mono_us();
	cr_expect(reaches(&bench.fake.abandoned, 1));
	cr_expect_lt(clock_mono_us() - left_us, 100000);
	relay_drain(bench.relay, clock_mono_us() + 3000000);
	cr_expect(has(bench_line(&bench), "\tcancelled\t"));
	cr_expect(has(bench_line(&bench), "\tclient_left\t"));
	cr_expect(has(bench_line(&bench), "\twait\n"));
	bench_stop(&bench);
}

Test(relay, a_client_that_leaves_before_the_first_byte_cancels_too)
{
	struct bench bench;
	struct client client;

	bench_start(&bench);
	bench_scenario(&bench, "mute");
	cr_assert_eq(client_start(&bench, &client, false), OK);
	cr_assert(reaches(&bench.fake.requests, 1));
	close(client.fd);
	cr_expect(reaches(&bench.fake.abandoned, 1));
	relay_drain(bench.relay, clock_mono_us() + 3000000);
	cr_expect(has(bench_line(&bench), "\tcancelled\t"));
	bench_stop(&bench);
}

Test(relay, a_name_that_resolves_slowly_holds_nobody_up)
{
	struct bench bench;
	struct client client;
	int64_t left_us;
	char *answer;

	bench_start(&bench);
	bench_scenario(&bench, "stream");
	snprintf(bench.at->url, sizeof(bench.at->url),
	    "https://slow.invalid/v1");
	cr_assert_eq(client_start(&bench, &client, true), OK);
	usleep(100000);
	close(client.fd);
	usleep(20000); /* the relay sees it, and ends the transfer */
	left_us = clock_mono_us();
	answer = bench_ask(&bench, "stream", true);
	cr_expect(ends_with(answer, FAKE_DONE));
	cr_expect_lt(clock_mono_us() - left_us, 500000);
	free(answer);
	cr_expect(reaches(&slow_names, 1)); /* its thread frees itself */
	usleep(50000);
	bench_stop(&bench);
}

Test(relay, a_reader_that_stops_is_waited_for_and_then_cut)
{
	struct bench bench;
	struct client client;

	bench_start(&bench);
	bench_set(&bench, &bench.config.client_stall_ms, 500);
	bench_scenario(&bench, "deluge");
	cr_assert_eq(client_start(&bench, &client, true), OK);
	cr_expect(reaches(&bench.fake.abandoned, 1));
	relay_drain(bench.relay, clock_mono_us() + 3000000);
	close(client.fd);
	pthread_mutex_lock(&bench.journal.lock);
	cr_expect_eq(bench.journal.ends, 1);
	pthread_mutex_unlock(&bench.journal.lock);
	bench_stop(&bench);
}

Test(relay, a_slow_reader_gets_everything)
{
	struct bench bench;
	struct client client;
	char *answer;

	bench_start(&bench);
	bench_scenario(&bench, "flood");
	cr_assert_eq(client_start(&bench, &client, true), OK);
	usleep(700000); /* long enough to be paused */
	answer = client_answer(&client);
	cr_expect(ends_with(answer, FAKE_STOP FAKE_DONE));
	cr_expect_gt(strlen(answer), 4000 * 1090);
	free(answer);
	bench_stop(&bench);
}

Test(relay, echo_says_the_prompt_again)
{
	struct bench bench;
	struct client client;
	char *answer;

	bench_start(&bench);
	bench_echo(&bench);
	cr_assert_eq(client_start(&bench, &client, true), OK);
	answer = client_answer(&client);
	cr_expect(has(answer, "\"content\":\"one \""));
	cr_expect(has(answer, "\"content\":\"two \""));
	cr_expect(has(answer, "\"content\":\"three\""));
	cr_expect(ends_with(answer, FAKE_DONE));
	cr_expect(has(bench_line(&bench), "\tcompleted\tt\t3\t3\t"));
	free(answer);
	cr_assert_eq(client_start(&bench, &client, false), OK);
	answer = client_answer(&client);
	cr_expect(has(answer, "\"content\":\"one two three\""));
	cr_expect(has(answer, "\"object\":\"chat.completion\""));
	free(answer);
	bench_stop(&bench);
}

Test(relay, echo_keeps_its_pace_and_stops_when_the_client_leaves)
{
	struct bench bench;
	struct client client;
	int64_t start_us = clock_mono_us();
	char part[64];

	bench_start(&bench);
	bench_set(&bench, &bench.config.echo_pace_ms, 100);
	bench_echo(&bench);
	cr_assert_eq(client_start(&bench, &client, true), OK);
	free(client_answer(&client));
	cr_expect_gt(clock_mono_us() - start_us, 290000);
	bench_set(&bench, &bench.config.echo_pace_ms, 2000);
	cr_assert_eq(client_start(&bench, &client, true), OK);
	cr_assert_gt(recv(client.fd, part, sizeof(part), 0), 0);
	close(client.fd);
	relay_drain(bench.relay, clock_mono_us() + 1000000);
	cr_expect(has(bench_line(&bench), "\tcancelled\t"));
	bench_stop(&bench);
}

Test(relay, the_end_waits_for_the_record)
{
	struct bench bench;
	struct client client;
	struct pollfd p;
	char *answer;

	bench_start(&bench);
	bench_hold(&bench, true);
	bench_scenario(&bench, "json");
	cr_assert_eq(client_start(&bench, &client, false), OK);
	p = (struct pollfd){ .fd = client.fd, .events = POLLIN };
	cr_expect_eq(poll(&p, 1, 300), 0, "nothing before the commit");
	bench_hold(&bench, false);
	answer = client_answer(&client);
	cr_expect(has(answer, "Fine."));
	free(answer);
	bench_stop(&bench);
}

Test(relay, a_record_that_is_not_durable_is_tried_again)
{
	struct bench bench;
	char *answer;

	bench_start(&bench);
	bench.journal.refuse = 2;
	answer = bench_ask(&bench, "json", false);
	cr_expect(has(answer, "Fine."));
	cr_expect_eq(bench.journal.ends, 1);
	free(answer);
	bench_stop(&bench);
}

Test(relay, without_a_place_for_the_record_no_call_is_made)
{
	struct bench bench;
	struct client client;

	bench_start(&bench);
	bench.journal.full = true;
	bench_scenario(&bench, "json");
	cr_expect_eq(client_start(&bench, &client, false), ERR_BUSY);
	close(client.fd);
	cr_expect_eq(atomic_load(&bench.fake.requests), 0);
	bench_stop(&bench);
}

Test(relay, without_a_sure_place_the_start_is_kept_before_the_provider_is_asked)
{
	struct bench bench;
	struct client client;
	char *answer;

	bench_start(&bench);
	bench.journal.unsure = true;
	bench_hold(&bench, true);
	bench_scenario(&bench, "json");
	cr_assert_eq(client_start(&bench, &client, false), OK);
	usleep(300000);
	cr_expect_eq(atomic_load(&bench.fake.requests), 0);
	bench_hold(&bench, false);
	answer = client_answer(&client);
	cr_expect(has(answer, "Fine."));
	cr_expect_eq(atomic_load(&bench.fake.requests), 1);
	pthread_mutex_lock(&bench.journal.lock);
	cr_expect_eq(bench.journal.running, 1);
	cr_expect_eq(bench.journal.ends, 1);
	pthread_mutex_unlock(&bench.journal.lock);
	free(answer);
	bench_stop(&bench);
}

Test(relay, a_start_that_is_not_kept_is_a_503_and_no_call)
{
	struct bench bench;
	struct client client;
	int64_t began_us;
	char *answer;

	bench_start(&bench);
	bench.journal.unsure = true;
	bench.journal.refuse_starts = 1;
	bench.journal.refuse = 1; /* the client does not wait for that */
	bench_scenario(&bench, "json");
	began_us = clock_mono_us();
	cr_assert_eq(client_start(&bench, &client, false), OK);
	answer = client_answer(&client);
	cr_expect(has(answer, "503"));
	cr_expect(has(answer, "Retry-After"));
	cr_expect_lt(clock_mono_us() - began_us, 1000000);
	cr_expect_eq(atomic_load(&bench.fake.requests), 0);
	bench_stop(&bench); /* waits for the record of the end */
	cr_expect_eq(bench.journal.ends, 1);
	cr_expect(has(bench_line(&bench), "\tfailed\t"));
	free(answer);
}

Test(relay, a_start_that_the_journal_does_not_take_leaves_nothing)
{
	struct bench bench;
	struct client client;
	char *answer;

	bench_start(&bench);
	bench.journal.unsure = true;
	bench.journal.takes_nothing = true;
	bench_scenario(&bench, "json");
	cr_assert_eq(client_start(&bench, &client, false), OK);
	answer = client_answer(&client);
	cr_expect(has(answer, "503"));
	cr_expect_eq(atomic_load(&bench.fake.requests), 0);
	cr_expect_eq(inflight_count(bench.inflight), 0);
	free(answer);
	bench_stop(&bench);
	cr_expect_eq(bench.journal.running + bench.journal.ends, 0);
}

Test(relay, a_client_that_leaves_while_its_start_is_kept_is_no_call)
{
	struct bench bench;
	struct client client;

	bench_start(&bench);
	bench.journal.unsure = true;
	bench_hold(&bench, true);
	bench_scenario(&bench, "json");
	cr_assert_eq(client_start(&bench, &client, false), OK);
	usleep(100000);
	close(client.fd);
	usleep(300000);
	bench_hold(&bench, false);
	bench_stop(&bench);
	cr_expect_eq(atomic_load(&bench.fake.requests), 0);
	cr_expect_eq(bench.journal.running, 1);
	cr_expect(has(bench_line(&bench), "\tcancelled\t"));
}

Test(relay, a_long_call_is_logged_as_running)
{
	struct bench bench;
	struct client client;

	bench_start(&bench);
	bench_scenario(&bench, "hang");
	cr_assert_eq(client_start(&bench, &client, true), OK);
	usleep(1000000);
	pthread_mutex_lock(&bench.journal.lock);
	cr_expect_eq(bench.journal.running, 1);
	pthread_mutex_unlock(&bench.journal.lock);
	close(client.fd);
	bench_stop(&bench);
}

Test(relay, no_more_calls_than_streams_max)
{
	struct bench bench;
	struct client clients[9];

	bench_start(&bench);
	bench_scenario(&bench, "hang");
	for (int i = 0; i < 8; i++)
		cr_assert_eq(client_start(&bench, &clients[i], true), OK);
	cr_expect_eq(client_start(&bench, &clients[8], true), ERR_BUSY);
	for (int i = 0; i < 9; i++)
		close(clients[i].fd);
	bench_stop(&bench);
}

Test(relay, a_drain_takes_nothing_new_and_ends_the_rest_at_its_deadline)
{
	struct bench bench;
	struct client client, late;
	char *answer;

	bench_start(&bench);
	bench_scenario(&bench, "hang");
	cr_assert_eq(client_start(&bench, &client, true), OK);
	cr_assert(reaches(&bench.fake.requests, 1));
	usleep(50000);
	relay_drain(bench.relay, clock_mono_us() + 200000);
	answer = client_answer(&client);
	cr_expect(has(answer, "shutting_down"));
	cr_expect_not(has(answer, "[DONE]"));
	cr_expect(has(bench_line(&bench), "\tfailed\t"));
	cr_expect_eq(client_start(&bench, &late, true), ERR_BUSY);
	close(late.fd);
	free(answer);
	bench_stop(&bench);
}

Test(relay, two_calls_of_one_client_run_at_the_same_time)
{
	struct bench bench;
	struct client client;
	struct relay_stats stats;
	struct http_request *req;
	struct outlet *outlet;
	struct call *calls[2];
	char *answer;

	bench_start(&bench);
	bench_echo(&bench);
	req = client_request(&client);
	outlet = outlet_new(req);
	for (int i = 0; i < 2; i++) {
		calls[i] = call_new(req, &sink, NULL);
		calls[i]->target = &bench.at->target;
		calls[i]->stream = true;
		calls[i]->request_json = PROMPT;
		calls[i]->request_len = strlen(PROMPT);
	}
	calls[0]->next = calls[1];
	cr_assert_eq(relay_start(bench.relay, outlet, calls[0]), OK);
	answer = client_answer(&client);
	cr_expect(ends_with(answer, FAKE_DONE));
	cr_expect_eq(bench.journal.ends, 2);
	relay_stats(bench.relay, &stats);
	cr_expect_eq(stats.completed, 2);
	cr_expect_eq(stats.open, 0);
	free(answer);
	bench_stop(&bench);
}
