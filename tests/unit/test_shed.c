/*
 * test_shed.c - a burst waits, and so does as much as its clients are many; a
 * queue that stands and grows is cut.
 */
#include "process/shed.h"

#include <criterion/criterion.h>

#define MS   ((int64_t)1000)
#define MOST 64

/* Requests, by when they arrived, before one thread: a queue of the test. */
struct queue {
	int64_t arrived_us[4096];
	size_t first, len;
};

static size_t
waiting(void *arg, size_t enough)
{
	const struct queue *queue = arg;

	return queue->len < enough ? queue->len : enough;
}

static struct shed
shed_of(struct queue *queue)
{
	return (struct shed){ .timeout_us = 25 * MS,
		.queue_max = MOST,
		.waiting = waiting,
		.arg = queue };
}

static void
push(struct queue *queue, int64_t now_us)
{
	cr_assert_lt(queue->len, sizeof(queue->arrived_us) / sizeof(int64_t));
	queue->arrived_us[(queue->first + queue->len) % 4096] = now_us;
	queue->len++;
}

static int64_t
pop(struct queue *queue, int64_t now_us)
{
	int64_t age_us = now_us - queue->arrived_us[queue->first % 4096];

	queue->first++;
	queue->len--;
	return age_us;
}

struct outcome {
	int served, refused;
	int64_t refused_latest_us; /* the oldest of the refused */
};

/* One thread that needs 10 ms for a request, from from_us to until_us, and a
 * request every every_us; of clients that ask again at once instead when that
 * is 0. */
static struct outcome
run(struct shed *shed, struct queue *queue, int64_t from_us, int64_t until_us,
    int64_t every_us)
{
	struct outcome got = { 0 };
	int64_t next_us = from_us;

	for (int64_t now = from_us; now < until_us;) {
		int64_t age_us;

		for (; every_us > 0 && next_us <= now; next_us += every_us)
			push(queue, next_us);
		if (queue->len == 0) {
			now = next_us;
			continue;
		}
		age_us = pop(queue, now);
		if (shed_refuses(shed, now, age_us)) {
			got.refused++;
			if (age_us > got.refused_latest_us)
				got.refused_latest_us = age_us;
			now += 100;
		} else {
			got.served++;
			now += 10 * MS;
		}
		if (every_us == 0)
			push(queue, now);
	}
	return got;
}

Test(shed, as_many_as_the_clients_are_never_too_many)
{
	static struct queue queue;
	struct shed shed = shed_of(&queue);
	struct outcome got;

	for (int i = 0; i < MOST; i++)
		push(&queue, 1000 * MS);
	got = run(&shed, &queue, 1000 * MS, 21000 * MS, 0);
	cr_expect_eq(got.refused, 0);
	cr_expect_eq(got.served, 2000);
}

Test(shed, four_times_the_capacity_is_cut_to_the_capacity)
{
	static struct queue queue;
	struct shed shed = shed_of(&queue);
	struct outcome got;

	(void)run(&shed, &queue, 1000 * MS, 2000 * MS, 2500);
	got = run(&shed, &queue, 2000 * MS, 12000 * MS, 2500);
	cr_expect_geq(got.served, 950);
	cr_expect_geq(got.refused, 2900);
	cr_expect_leq(got.refused_latest_us, 40 * MS);
}

Test(shed, a_little_more_than_the_capacity_is_cut_too)
{
	static struct queue queue;
	struct shed shed = shed_of(&queue);
	struct outcome got;

	(void)run(&shed, &queue, 1000 * MS, 10000 * MS, 8000);
	got = run(&shed, &queue, 10000 * MS, 20000 * MS, 8000);
	cr_expect_geq(got.served, 950);
	cr_expect_leq(got.refused_latest_us, 40 * MS);
}

Test(shed, less_than_the_capacity_is_served_however_often)
{
	static struct queue queue;
	struct shed shed = shed_of(&queue);

	cr_expect_eq(run(&shed, &queue, 1000 * MS, 11000 * MS, 12000).refused,
	    0);
}

Test(shed, after_an_overload_everything_is_served_again)
{
	static struct queue queue;
	struct shed shed = shed_of(&queue);
	struct outcome got;

	got = run(&shed, &queue, 1000 * MS, 5000 * MS, 2500);
	cr_expect_gt(got.refused, 0);
	(void)run(&shed, &queue, 5000 * MS, 6000 * MS, 12000);
	cr_expect_not(atomic_load(&shed.overloaded));
	got = run(&shed, &queue, 6000 * MS, 9000 * MS, 12000);
	cr_expect_eq(got.refused, 0);
}

Test(shed, a_burst_of_any_length_waits)
{
	static struct queue queue;
	struct shed shed = shed_of(&queue);

	for (int i = 0; i < 40; i++) {
		cr_expect_not(shed_refuses(&shed, 1000 * MS, 100 * MS));
		push(&queue, 0);
		push(&queue, 0);
	}
	cr_expect_not(shed_refuses(&shed, 1000 * MS + SHED_STANDING_US,
	    300 * MS));
	cr_expect(shed_refuses(&shed, 1001 * MS + SHED_STANDING_US, 300 * MS));
}

/* As if requests had waited for long, and far too many. */
static struct shed
overloaded(struct queue *queue, int64_t now_us)
{
	struct shed shed = shed_of(queue);

	atomic_store(&shed.standing_us, now_us - SHED_STANDING_US - 1);
	atomic_store(&shed.last_us, now_us - 1);
	atomic_store(&shed.overloaded, true);
	return shed;
}

Test(shed, who_waited_less_than_the_timeout_is_served)
{
	static struct queue queue;
	struct shed shed = overloaded(&queue, 5000 * MS);

	cr_expect_not(shed_refuses(&shed, 5000 * MS, 25 * MS));
	cr_expect(shed_refuses(&shed, 5000 * MS, 26 * MS));
}

Test(shed, requests_that_do_not_wait_end_the_overload)
{
	static struct queue queue;
	struct shed shed = overloaded(&queue, 5000 * MS);

	cr_expect_not(shed_refuses(&shed, 5000 * MS, 0));
	cr_expect(shed_refuses(&shed, 5000 * MS, 40 * MS));
	for (int i = 0; i < SHED_FRESH_RUN; i++)
		cr_expect_not(shed_refuses(&shed, 5000 * MS, 0));
	cr_expect_not(shed_refuses(&shed, 5000 * MS, 40 * MS));
}

Test(shed, an_overload_of_long_ago_is_forgotten)
{
	static struct queue queue;
	struct shed shed = overloaded(&queue, 5000 * MS);
	int64_t later = 5000 * MS + SHED_STANDING_US;

	cr_expect_not(shed_refuses(&shed, later, 40 * MS));
	cr_expect_not(shed_refuses(&shed, later + 1, 40 * MS));
}

Test(shed, an_idle_thread_means_no_queue)
{
	static struct queue queue;
	struct shed shed = overloaded(&queue, 5000 * MS);

	shed_wait(&shed);
	cr_expect_not(shed_refuses(&shed, 5000 * MS, 40 * MS));
	cr_expect_not(shed_refuses(&shed, 5000 * MS, SHED_CEILING_US + 1));
	shed_work(&shed);
	cr_expect(shed_refuses(&shed, 5000 * MS, 40 * MS));
}

Test(shed, how_many_wait_is_looked_at_seldom)
{
	static struct queue queue;
	struct shed shed = overloaded(&queue, 5000 * MS);

	atomic_store(&shed.overloaded, false);
	cr_expect_not(shed_refuses(&shed, 5000 * MS, 40 * MS));
	for (int i = 0; i <= MOST; i++)
		push(&queue, 0);
	cr_expect_not(shed_refuses(&shed, 5001 * MS, 40 * MS));
	cr_expect(shed_refuses(&shed, 5000 * MS + SHED_COUNT_US, 40 * MS));
}

Test(shed, what_waited_beyond_the_ceiling_is_refused_without_an_overload)
{
	static struct queue queue;
	struct shed shed = shed_of(&queue);

	cr_expect_not(shed_refuses(&shed, 5000 * MS, SHED_CEILING_US));
	cr_expect(shed_refuses(&shed, 5000 * MS, SHED_CEILING_US + 1));
}

Test(shed, without_a_timeout_nothing_is_refused)
{
	static struct queue queue;
	struct shed shed = overloaded(&queue, 5000 * MS);

	shed.timeout_us = 0;
	cr_expect_not(shed_refuses(&shed, 5000 * MS, SHED_CEILING_US + 1));
}

/* While no thread gets free, nobody reads a request. */
Test(shed, an_overload_is_found_without_a_free_thread)
{
	static struct queue queue;
	struct shed shed = shed_of(&queue);

	for (int i = 0; i <= MOST; i++)
		push(&queue, 1000 * MS);
	for (int i = 0; i < 3; i++)
		cr_expect_not(shed_look(&shed, (1000 + 200 * i) * MS));
	cr_expect(shed_look(&shed, 1600 * MS));
	cr_expect(shed_is_overloaded(&shed));
}

Test(shed, a_queue_that_is_not_too_long_is_no_overload_however_long_it_stands)
{
	static struct queue queue;
	struct shed shed = shed_of(&queue);

	for (int i = 0; i < MOST; i++)
		push(&queue, 1000 * MS);
	for (int i = 0; i < 20; i++)
		cr_expect_not(shed_look(&shed, (1000 + 200 * i) * MS));
}

Test(shed, a_queue_beside_an_idle_thread_is_no_overload)
{
	static struct queue queue;
	struct shed shed = shed_of(&queue);

	for (int i = 0; i <= MOST; i++)
		push(&queue, 1000 * MS);
	shed_wait(&shed);
	for (int i = 0; i < 20; i++)
		cr_expect_not(shed_look(&shed, (1000 + 200 * i) * MS));
}

Test(shed, refusals_keep_an_overload_and_their_end_ends_it)
{
	static struct queue queue;
	struct shed shed = overloaded(&queue, 5000 * MS);

	for (int i = 0; i < 10; i++) {
		shed_refused(&shed, (5000 + 400 * i) * MS);
		cr_expect(shed_look(&shed, (5000 + 400 * i) * MS));
	}
	cr_expect(shed_look(&shed, 8600 * MS + SHED_STANDING_US));
	cr_expect_not(shed_look(&shed, 8601 * MS + SHED_STANDING_US));
}

Test(shed, without_a_timeout_there_is_no_overload)
{
	static struct queue queue;
	struct shed shed = shed_of(&queue);

	shed.timeout_us = 0;
	for (int i = 0; i <= MOST; i++)
		push(&queue, 1000 * MS);
	for (int i = 0; i < 20; i++)
		cr_expect_not(shed_look(&shed, (1000 + 200 * i) * MS));
}
