/*
 * test_after.c - work that blocks, after a call, in other threads.
 */
#include "api/after.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "http/memory.h"

#define CALLS 50

struct probe {
	pthread_mutex_t lock;
	int fails;       /* tries that are still to fail */
	enum err with;   /* ... as this */
	int tries, ends; /* of all calls */
	enum err err;    /* of the last end */
	pthread_t work_thread, end_thread;
	bool again; /* the end hands it over once more */
	struct after *after;
};

static struct config config = { .database_url = (char[]){ "host=/nowhere" },
	.streams_max = 10,
	.statement_ms = 1000 };
static struct relay *relay;
static struct after *after;
static struct memory_answer answer;
static struct http_request *req;
static struct outlet *outlet;
static struct probe probe;
static struct call calls[CALLS];

static void
setup(void)
{
	const char *const envp[] = { "REQUEST_METHOD=POST", "REQUEST_URI=/",
		NULL };

	log_setup(LOG_ERROR, "test");
	memset(&probe, 0, sizeof(probe));
	pthread_mutex_init(&probe.lock, NULL);
	probe.with = ERR_BUSY;
	cr_assert_eq(memory_request(envp, NULL, 0, &answer, &req), OK);
	outlet = outlet_new(req);
	cr_assert_not_null(outlet);
	cr_assert_eq(relay_new(&config, NULL, NULL, &relay), OK);
	cr_assert_eq(after_start(&config, relay, &after), OK);
	probe.after = after;
	for (size_t i = 0; i < CALLS; i++) {
		calls[i].outlet = outlet;
		calls[i].sink_data = &probe;
	}
}

static void
teardown(void)
{
	after_stop(after);
	relay_free(relay);
	request_finish(req);
	memory_answer_fini(&answer);
}

TestSuite(after, .init = setup, .fini = teardown, .timeout = 20);

static enum err
work(struct call *call, struct db *db)
{
	struct probe *p = call->sink_data;
	enum err err = OK;

	cr_assert_not_null(db);
	pthread_mutex_lock(&p->lock);
	p->work_thread = pthread_self();
	p->tries++;
	if (p->fails != 0) {
		p->fails--;
		err = p->with;
	}
	pthread_mutex_unlock(&p->lock);
	return err;
}

static void then(struct call *call, enum err err);

static const struct after_steps steps = { work, then };

static void
then(struct call *call, enum err err)
{
	struct probe *p = call->sink_data;
	bool again;

	pthread_mutex_lock(&p->lock);
	p->end_thread = pthread_self();
	p->err = err;
	p->ends++;
	again = p->again;
	p->again = false;
	pthread_mutex_unlock(&p->lock);
	if (again)
		after_call(p->after, call, &steps);
}

static int
ends(void)
{
	int count;

	pthread_mutex_lock(&probe.lock);
	count = probe.ends;
	pthread_mutex_unlock(&probe.lock);
	return count;
}

static void
wait_ends(int count)
{
	while (ends() < count)
		(void)usleep(1000);
}

Test(after, work_runs_beside_and_its_end_in_the_relay)
{
	after_call(after, &calls[0], &steps);
	wait_ends(1);
	cr_expect_eq(probe.err, OK);
	cr_expect_eq(probe.tries, 1);
	cr_expect_not(pthread_equal(probe.work_thread, probe.end_thread));
	cr_expect_not(pthread_equal(probe.end_thread, pthread_self()));
}

Test(after, work_is_tried_again_while_postgresql_is_away)
{
	probe.fails = 3;
	after_call(after, &calls[0], &steps);
	wait_ends(1);
	cr_expect_eq(probe.err, OK);
	cr_expect_eq(probe.tries, 4);
}

Test(after, a_timeout_is_tried_again_too)
{
	probe.fails = 1;
	probe.with = ERR_TIMEOUT;
	after_call(after, &calls[0], &steps);
	wait_ends(1);
	cr_expect_eq(probe.err, OK);
	cr_expect_eq(probe.tries, 2);
}

Test(after, another_failure_is_final)
{
	probe.fails = 1;
	probe.with = ERR_MISSING;
	after_call(after, &calls[0], &steps);
	wait_ends(1);
	cr_expect_eq(probe.err, ERR_MISSING);
	cr_expect_eq(probe.tries, 1);
}

Test(after, all_that_wait_are_told_when_their_time_is_up)
{
	int64_t began = clock_mono_us();

	probe.fails = -1; /* for ever */
	for (size_t i = 0; i < CALLS; i++)
		after_call(after, &calls[i], &steps);
	wait_ends(CALLS);
	cr_expect_eq(probe.err, ERR_BUSY);
	cr_expect_lt(clock_mono_us() - began,
	    (AFTER_TRY_MS + 1000) * INT64_C(1000));
}

Test(after, every_call_has_one_end)
{
	for (size_t i = 0; i < CALLS; i++)
		after_call(after, &calls[i], &steps);
	wait_ends(CALLS);
	(void)usleep(10000);
	cr_expect_eq(ends(), CALLS);
	cr_expect_eq(probe.tries, CALLS);
}

Test(after, an_end_can_hand_its_call_over_again)
{
	probe.again = true;
	after_call(after, &calls[0], &steps);
	wait_ends(2);
	cr_expect_eq(probe.tries, 2);
	cr_expect_eq(probe.err, OK);
}

Test(after, stopping_does_what_is_queued_and_waits_no_longer)
{
	int64_t began = clock_mono_us();

	probe.fails = -1;
	after_call(after, &calls[0], &steps);
	after_call(after, &calls[1], &steps);
	after_stop(after);
	after = NULL;
	wait_ends(2);
	cr_expect_eq(probe.err, ERR_BUSY);
	cr_expect_geq(probe.tries, 2);
	cr_expect_lt(clock_mono_us() - began, 1000000);
}

Test(after, a_failure_has_a_code_that_says_whose_it_is)
{
	struct call call = { .outlet = outlet, .end = CALL_COMPLETED };

	after_fail(&call, ERR_BUSY);
	cr_expect_eq(call.end, CALL_FAILED);
	cr_expect_str_eq(call.error_code, "log_unavailable");
	call = (struct call){ .outlet = outlet, .end = CALL_COMPLETED };
	after_fail(&call, ERR_BUG);
	cr_expect_str_eq(call.error_code, "internal_error");
}
