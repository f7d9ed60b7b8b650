/*
 * test_admit.c - limits of users and keys: which apply, what is reserved, what
 * is given back.
 */
#include "api/admit.h"

#include <criterion/criterion.h>
#include <pthread.h>

#include "asking.h"
#include "base/clock.h"

#define THREADS 8
#define USD     ((int64_t)1000000000000) /* pico-dollars */

static struct memory_answer answer;

static void
setup(void)
{
	asking_setup();
}

static void
teardown(void)
{
	asking_teardown();
}

TestSuite(admit, .init = setup, .fini = teardown, .timeout = 60);

static void
set_limits(const char *columns, const char *values)
{
	char sql[512];

	(void)snprintf(sql, sizeof(sql),
	    "insert into minuted.limits (user_id, %s) values ('" ASKING_USER
	    "', %s)",
	    columns, values);
	scratch_do(asking_db, sql);
	rules_changed(asking_app.rules);
}

static struct http_request *
post(struct memory_answer *to)
{
	static const char *const envp[] = { "REQUEST_METHOD=POST",
		"REQUEST_URI=/v1/chat/completions",
		"CONTENT_TYPE=application/json", NULL };

	return asking_request(envp, NULL, to);
}

static void
use_key(struct http_request *req)
{
	req->who.credential = CREDENTIAL_KEY;
	cr_assert_eq(uuid_parse(ASKING_KEY, &req->who.key_id), OK);
}

static void
end(struct http_request *req)
{
	if (req->status == 0)
		req->status = 204;
	request_finish(req);
	memory_answer_fini(&answer);
}

/* --- requests --------------------------------------------------------- */

/* The status of a request; 0: it was let through. */
static int
ask(bool key)
{
	struct http_request *req = post(&answer);
	int status;

	if (key)
		use_key(req);
	(void)!admit_request_or_reply(req);
	status = req->status;
	end(req);
	return status;
}

Test(admit, without_limits_everything_passes)
{
	for (int i = 0; i < 100; i++)
		cr_expect_eq(ask(false), 0);
}

Test(admit, so_many_requests_in_a_window)
{
	set_limits("requests, window_s", "3, 3600");
	for (int i = 0; i < 3; i++)
		cr_expect_eq(ask(false), 0);
	cr_expect_eq(ask(false), 429);
	cr_expect_eq(ask(true), 429, "a key is the user's too");
}

Test(admit, the_tightest_window_is_told)
{
	struct http_request *req;

	set_limits("requests, window_s", "100, 3600");
	set_limits("requests, window_s, key_id", "3, 3600, '" ASKING_KEY "'");
	req = post(&answer);
	use_key(req);
	cr_expect_eq(admit_request_or_reply(req), OK);
	cr_expect_not_null(strstr(buf_str(&req->out_headers),
	    "RateLimit-Limit: 3\r\nRateLimit-Remaining: 2\r\n"));
	end(req);
}

Test(admit, what_the_keys_window_refuses_takes_nothing_of_the_users)
{
	set_limits("requests, window_s", "5, 3600");
	set_limits("requests, window_s, key_id", "1, 3600, '" ASKING_KEY "'");
	cr_expect_eq(ask(true), 0);
	for (int i = 0; i < 10; i++)
		cr_expect_eq(ask(true), 429);
	for (int i = 0; i < 4; i++)
		cr_expect_eq(ask(false), 0);
	cr_expect_eq(ask(false), 429);
}

Test(admit, a_changed_limit_counts_from_the_next_request)
{
	set_limits("requests, window_s", "1, 3600");
	cr_expect_eq(ask(false), 0);
	cr_expect_eq(ask(false), 429);
	scratch_do(asking_db, "update minuted.limits set requests = 3");
	cr_expect_eq(ask(false), 429, "nobody has heard of it");
	rules_changed(asking_app.rules);
	cr_expect_eq(ask(false), 0);
	scratch_do(asking_db, "delete from minuted.limits");
	rules_changed(asking_app.rules);
	for (int i = 0; i < 10; i++)
		cr_expect_eq(ask(false), 0);
}

Test(admit, a_changed_window_begins_anew_and_the_old_one_is_kept)
{
	set_limits("requests, window_s", "2, 86400");
	cr_expect_eq(ask(false), 0);
	cr_expect_eq(ask(false), 0);
	cr_expect_eq(ask(false), 429);
	scratch_do(asking_db,
	    "update minuted.limits set requests = 1, window_s = 1");
	rules_changed(asking_app.rules);
	cr_expect_eq(ask(false), 0);
	usleep(1100000);
	cr_expect_eq(ask(false), 0, "a window is of a second now");
	scratch_do(asking_db,
	    "update minuted.limits set requests = 2, window_s = 86400");
	rules_changed(asking_app.rules);
	cr_expect_eq(ask(false), 429, "there is no way around");
}

Test(admit, while_postgresql_is_away_the_last_limits_stay)
{
	set_limits("requests, window_s", "2, 3600");
	cr_expect_eq(ask(false), 0);
	scratch_do(asking_db, "alter table minuted.limits rename to gone");
	cr_expect_eq(ask(false), 0);
	cr_expect_eq(ask(false), 429);
}

Test(admit, where_nobody_listened_the_last_limits_hold_until_they_can_be_read)
{
	set_limits("requests, window_s", "2, 3600");
	cr_expect_eq(ask(false), 0);
	scratch_do(asking_db, "update minuted.limits set requests = 1000000;"
			      "alter table minuted.limits rename to gone");
	rules_missed(asking_app.rules);
	cr_expect_eq(ask(false), 0, "nothing was heard of a change");
	cr_expect_eq(ask(false), 429);
	scratch_do(asking_db, "alter table minuted.gone rename to limits");
	rules_missed(asking_app.rules);
	rules_catch_up(asking_app.rules, asking_db);
	for (int i = 0; i < 200 && ask(false) != 0; i++) {
		usleep(10000); /* a reading that failed is tried again later */
		rules_catch_up(asking_app.rules, asking_db);
	}
	cr_expect_eq(ask(false), 0);
}

Test(admit, a_change_that_cannot_be_read_is_a_503_and_not_the_old_limit)
{
	int64_t until_us = clock_mono_us() + 10000000;
	int status;

	set_limits("requests, window_s", "1000000, 3600");
	cr_expect_eq(ask(false), 0);
	scratch_do(asking_db, "update minuted.limits set requests = 1;"
			      "alter table minuted.limits rename to gone");
	rules_changed(asking_app.rules);
	for (int i = 0; i < 5; i++)
		cr_expect_eq(ask(false), 503);
	scratch_do(asking_db, "alter table minuted.gone rename to limits");
	do
		status = ask(false);
	while (status == 503 && clock_mono_us() < until_us);
	cr_expect_eq(status, 429, "one was used");
}

Test(admit, limits_that_never_were_read_are_a_503)
{
	scratch_do(asking_db, "alter table minuted.limits rename to gone");
	cr_expect_eq(ask(false), 503);
}

Test(admit, a_change_that_was_caught_up_with_holds_when_postgresql_goes)
{
	set_limits("requests, window_s", "2, 3600");
	rules_catch_up(asking_app.rules, asking_db);
	scratch_do(asking_db, "alter table minuted.limits rename to gone");
	cr_expect_eq(ask(false), 0);
	cr_expect_eq(ask(false), 0);
	cr_expect_eq(ask(false), 429);
}

static void *
ask_often(void *arg)
{
	int *passed = arg;
	struct memory_answer own;

	for (int i = 0; i < 20; i++) {
		struct http_request *req = post(&own);

		req->db = NULL; /* the limits were read */
		*passed += admit_request_or_reply(req) == OK;
		if (req->status == 0)
			req->status = 204;
		request_finish(req);
		memory_answer_fini(&own);
	}
	return NULL;
}

Test(admit, n_allowed_means_n_pass_in_threads)
{
	pthread_t threads[THREADS];
	int passed[THREADS] = { 0 };
	int sum = 0;

	set_limits("requests, window_s", "51, 3600");
	cr_expect_eq(ask(false), 0);
	for (size_t i = 0; i < THREADS; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, ask_often,
				 &passed[i]),
		    0);
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		sum += passed[i];
	}
	cr_expect_eq(sum, 50);
}

/* --- calls ------------------------------------------------------------ */

/* A dollar a thousand tokens, in and out. */
static struct catalog_target dear = { .price = {
					  USD / 1000, USD / 1000, -1, -1 } };
static struct catalog_target unpriced = { .price = { -1, -1, -1, -1 } };

/* A prompt of 100 tokens by estimate, and an answer of up to 400: half a
 * dollar of the dear one. */
static struct call *
call_of(struct http_request *req, const struct catalog_target *target)
{
	struct call *call = call_new(req, NULL, NULL);
	char *json = arena_printf(req->arena,
	    "{\"max_tokens\":400,\"x\":\"%*s\"}", 400, "");

	cr_assert_not_null(call);
	cr_assert_not_null(json);
	call->target = target;
	call->request_json = json;
	call->request_len = strlen(json);
	return call;
}

/* Admits a call and keeps it running; the status of the answer, or 0. */
static int
start(struct http_request *req, struct call **out,
    const struct catalog_target *target)
{
	*out = call_of(req, target);
	(void)!admit_calls_or_reply(req, *out);
	return req->status;
}

static void
settle(struct call *call, int64_t prompt, int64_t completion, int64_t cost)
{
	call->usage.prompt = prompt;
	call->usage.completion = completion;
	call->cost_pico = cost;
	cr_assert_not_null(call->settle);
	call->settle(call);
}

/* The status of one more call, which ends at once and costs nothing. */
static int
one_more(const struct catalog_target *target)
{
	struct http_request *req = post(&answer);
	struct call *call;
	int status = start(req, &call, target);

	if (status == 0)
		admit_undo(call);
	end(req);
	return status;
}

static void
expect_header(const struct http_request *req, const char *line)
{
	cr_expect_not_null(strstr(buf_str(&req->out_headers), line), "%s in %s",
	    line, buf_str(&req->out_headers));
}

Test(admit, calls_at_once_are_told_in_headers)
{
	struct memory_answer second;
	struct http_request *req = post(&answer);
	struct http_request *more = post(&second);
	struct call *call, *refused;

	set_limits("calls", "1");
	cr_expect_eq(start(req, &call, &unpriced), 0);
	expect_header(req, "RateLimit-Limit: 1\r\nRateLimit-Remaining: 0\r\n"
			   "RateLimit-Reset: 1\r\n");
	cr_expect_eq(start(more, &refused, &unpriced), 429);
	expect_header(more, "RateLimit-Limit: 1\r\nRateLimit-Remaining: 0\r\n");
	admit_undo(call);
	more->status = 204;
	request_finish(more);
	memory_answer_fini(&second);
	end(req);
}

Test(admit, tokens_are_told_in_headers)
{
	struct memory_answer second;
	struct http_request *req = post(&answer);
	struct http_request *more = post(&second);
	struct call *call, *refused;

	set_limits("calls, tokens_per_minute", "10, 600");
	cr_expect_eq(start(req, &call, &unpriced), 0); /* 500 */
	expect_header(req, "RateLimit-Limit: 600\r\nRateLimit-Remaining: 100");
	cr_expect_eq(start(more, &refused, &unpriced), 429);
	expect_header(more, "RateLimit-Limit: 600\r\n");
	admit_undo(call);
	more->status = 204;
	request_finish(more);
	memory_answer_fini(&second);
	end(req);
}

Test(admit, a_limit_of_requests_is_told_before_others)
{
	struct http_request *req = post(&answer);
	struct call *call;

	set_limits("calls, requests, window_s", "10, 600, 3600");
	cr_expect_eq(admit_request_or_reply(req), OK);
	cr_expect_eq(start(req, &call, &unpriced), 0);
	expect_header(req, "RateLimit-Limit: 600\r\n");
	cr_expect_null(strstr(buf_str(&req->out_headers), "Limit: 10\r\n"));
	admit_undo(call);
	end(req);
}

#define RUNNING 3

Test(admit, so_many_calls_at_once)
{
	struct memory_answer answers[RUNNING];
	struct http_request *reqs[RUNNING];
	struct call *calls[RUNNING];

	set_limits("calls", "3");
	for (size_t i = 0; i < RUNNING; i++) {
		reqs[i] = post(&answers[i]);
		cr_expect_eq(start(reqs[i], &calls[i], &unpriced), 0);
	}
	cr_expect_eq(one_more(&unpriced), 429);
	settle(calls[0], 1, 1, 0);
	cr_expect_eq(one_more(&unpriced), 0);
	admit_undo(calls[1]);
	cr_expect_eq(one_more(&unpriced), 0);
	for (size_t i = 0; i < RUNNING; i++) {
		reqs[i]->status = 204;
		request_finish(reqs[i]);
		memory_answer_fini(&answers[i]);
	}
}

Test(admit, a_budget_is_reserved_before_the_call)
{
	struct memory_answer answers[RUNNING];
	struct http_request *reqs[RUNNING];
	struct call *calls[RUNNING];

	set_limits("budget_pico", "1500000000000");
	for (size_t i = 0; i < RUNNING; i++) {
		reqs[i] = post(&answers[i]);
		cr_expect_eq(start(reqs[i], &calls[i], &dear), 0);
	}
	cr_expect_eq(one_more(&dear), 429, "three halves are reserved");
	settle(calls[0], 100, 0, USD / 10);
	cr_expect_eq(one_more(&dear), 429, "0.1 is spent, 1.0 reserved");
	admit_undo(calls[1]);
	cr_expect_eq(one_more(&dear), 0, "0.1 is spent, 0.5 reserved");
	settle(calls[2], 100, 1300, USD * 14 / 10);
	cr_expect_eq(one_more(&dear), 429, "1.5 is spent");
	for (size_t i = 0; i < RUNNING; i++) {
		reqs[i]->status = 204;
		request_finish(reqs[i]);
		memory_answer_fini(&answers[i]);
	}
}

Test(admit, what_the_tables_say_was_spent_counts)
{
	set_limits("budget_pico", "1000000000000");
	scratch_do(asking_db,
	    "insert into minuted.usage_hourly (user_id, key_id, model, hour,"
	    " kind, provider, calls, cost_pico) values ('" ASKING_USER
	    "', '00000000-0000-0000-0000-000000000000', 'm', "
	    "date_trunc('hour', now()), 'chat.completion', 'p',"
	    " 1, 600000000000)");
	cr_expect_eq(one_more(&dear), 429);
}

static void
spend_elsewhere(const char *pico)
{
	char sql[512];

	(void)snprintf(sql, sizeof(sql),
	    "insert into minuted.usage_deltas (user_id, key_id, model, hour,"
	    " kind, provider, environment, calls, cost_pico) values"
	    " ('" ASKING_USER "', '00000000-0000-0000-0000-000000000000', 'm', "
	    "date_trunc('hour', now()), 'chat.completion', 'p', '', 1, %s)",
	    pico);
	scratch_do(asking_db, sql);
}

Test(admit, what_memory_lacks_is_added_beside_a_call_that_runs)
{
	struct memory_answer running_answer;
	struct http_request *req = post(&running_answer);
	struct call *running;

	set_limits("budget_pico", "2000000000000");
	cr_assert_eq(start(req, &running, &dear), 0); /* 0.5 */
	spend_elsewhere("1200000000000");
	/* the second reading: 1.2 spent and 0.5 reserved leave no 0.5 */
	cr_expect_eq(one_more(&dear), 429);
	settle(running, 100, 0, USD / 10);
	cr_expect_eq(one_more(&dear), 0, "1.3 is spent");
	req->status = 204;
	request_finish(req);
	memory_answer_fini(&running_answer);
}

Test(admit, a_call_that_is_in_the_tables_before_it_is_settled_counts_once)
{
	struct memory_answer running_answer;
	struct http_request *req = post(&running_answer);
	struct call *running;

	set_limits("budget_pico", "2000000000000");
	cr_assert_eq(start(req, &running, &dear), 0); /* 0.5 */
	running->cost_pico = USD;
	cr_assert_not_null(running->ended);
	running->ended(running);
	spend_elsewhere("1000000000000"); /* that is its record */
	cr_expect_eq(one_more(&dear), 0); /* reads again */
	settle(running, 100, 0, USD);
	cr_expect_eq(one_more(&dear), 0, "1.0 is spent");
	req->status = 204;
	request_finish(req);
	memory_answer_fini(&running_answer);
}

/* The ceiling that a call with body is sent with, by a model of that context. */
static int64_t
sent_ceiling(int64_t context, const char *body)
{
	struct catalog_target target = dear;
	struct http_request *req = post(&answer);
	struct call *call = call_of(req, &target);
	int64_t ceiling;

	target.context = context;
	call->request_json = body;
	call->request_len = strlen(body);
	cr_expect_eq(admit_calls_or_reply(req, call), OK, "%s", body);
	ceiling = call->answer_max;
	admit_undo(call);
	end(req);
	return ceiling;
}

Test(admit, under_a_budget_an_answer_without_a_ceiling_gets_one)
{
	set_limits("tokens_per_minute", "100000");
	cr_expect_eq(sent_ceiling(0, "{}"), 0, "there is no budget");
	scratch_do(asking_db,
	    "update minuted.limits set budget_pico = 100000000000000");
	rules_changed(asking_app.rules);
	cr_expect_eq(sent_ceiling(0, "{}"), ADMIT_ANSWER_TOKENS);
	cr_expect_eq(sent_ceiling(0, "{\"max_tokens\":null}"),
	    ADMIT_ANSWER_TOKENS);
	cr_expect_eq(sent_ceiling(2048, "{}"), 1024);
	cr_expect_eq(sent_ceiling(1000000, "{}"), ADMIT_ANSWER_TOKENS);
	cr_expect_eq(sent_ceiling(0, "{\"max_tokens\":7}"), 0);
	cr_expect_eq(sent_ceiling(0, "{\"max_completion_tokens\":7}"), 0);
}

Test(admit, without_a_price_a_budget_is_a_503)
{
	set_limits("budget_pico", "1000000000000");
	cr_expect_eq(one_more(&unpriced), 503);
}

Test(admit, spend_that_cannot_be_read_is_a_503)
{
	set_limits("budget_pico", "1000000000000");
	cr_expect_eq(ask(false), 0);
	scratch_do(asking_db,
	    "alter table minuted.usage_hourly rename to gone");
	cr_expect_eq(one_more(&dear), 503);
	scratch_do(asking_db,
	    "alter table minuted.gone rename to usage_hourly");
	cr_expect_eq(one_more(&dear), 0);
}

Test(admit, tokens_a_minute_are_taken_and_settled)
{
	struct http_request *req = post(&answer);
	struct call *call;

	set_limits("tokens_per_minute", "1000");
	cr_expect_eq(start(req, &call, &unpriced), 0); /* 500 */
	settle(call, 100, 700, 0);                     /* 800 */
	end(req);
	req = post(&answer);
	cr_expect_eq(start(req, &call, &unpriced), 429);
	end(req);
}

Test(admit, without_a_ceiling_tokens_are_taken_for_the_answer_up_to_the_limit)
{
	static const char *const told[] = {
		"RateLimit-Limit: 10000\r\nRateLimit-Remaining: 5903\r\n",
		"RateLimit-Limit: 1000\r\nRateLimit-Remaining: 0\r\n"
	};

	set_limits("tokens_per_minute", "10000");
	for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
		struct http_request *req = post(&answer);
		struct call *call = call_of(req, &unpriced);

		call->request_json = "{}";
		call->request_len = 2;
		cr_expect_eq(admit_calls_or_reply(req, call), OK);
		expect_header(req, told[i]);
		admit_undo(call);
		end(req);
		scratch_do(asking_db,
		    "update minuted.limits set tokens_per_minute = 1000");
		rules_changed(asking_app.rules);
	}
}

Test(admit, tokens_that_were_not_used_are_given_back)
{
	set_limits("tokens_per_minute", "500");
	for (int i = 0; i < 4; i++) {
		struct http_request *req = post(&answer);
		struct call *call;

		cr_expect_eq(start(req, &call, &unpriced), 0, "call %d", i);
		settle(call, 0, 0, 0);
		end(req);
	}
}

Test(admit, what_one_limit_refuses_reserves_nothing_of_another)
{
	set_limits("calls, budget_pico", "1, 100000000000");
	cr_expect_eq(one_more(&dear), 429, "the budget does");
	scratch_do(asking_db, "update minuted.limits set budget_pico = null");
	rules_changed(asking_app.rules);
	cr_expect_eq(one_more(&dear), 0, "its place was given back");
}
