/*
 * test_shed.c - a burst waits, a queue that stands is cut.
 */
#include "process/shed.h"

#include <criterion/criterion.h>

#include "base/clock.h"

#define MS 1000

static bool
refused(struct shed *shed, int64_t waited_us)
{
	const struct http_request req = { .arrived_us =
					      clock_wall_us() - waited_us };

	return shed_refuses(shed, &req);
}

/* As if a queue had stood for so long. */
static void
stand(struct shed *shed, int64_t us)
{
	atomic_store(&shed->standing_us, clock_mono_us() - us);
	atomic_store(&shed->last_us, clock_mono_us());
}

Test(shed, a_burst_waits)
{
	struct shed shed = { .timeout_us = 25 * MS };

	cr_expect_not(refused(&shed, 1000 * MS));
	cr_expect_neq(atomic_load(&shed.standing_us), 0);
	cr_expect_not(refused(&shed, 1000 * MS));
}

Test(shed, what_is_late_in_a_standing_queue_is_refused)
{
	struct shed shed = { .timeout_us = 25 * MS };

	stand(&shed, SHED_STANDING_US + 100 * MS);
	cr_expect(refused(&shed, 40 * MS));
	cr_expect_not(refused(&shed, 15 * MS));
	cr_expect(refused(&shed, 40 * MS));
}

Test(shed, requests_that_do_not_wait_end_the_queue)
{
	struct shed shed = { .timeout_us = 25 * MS };

	stand(&shed, SHED_STANDING_US + 100 * MS);
	cr_expect_not(refused(&shed, 0));
	cr_expect(refused(&shed, 40 * MS));
	for (int i = 0; i < SHED_FRESH_RUN; i++)
		cr_expect_not(refused(&shed, 0));
	cr_expect_not(refused(&shed, 40 * MS));
}

Test(shed, a_queue_of_long_ago_is_forgotten)
{
	struct shed shed = { .timeout_us = 25 * MS };

	stand(&shed, 3 * SHED_STANDING_US);
	atomic_store(&shed.last_us, clock_mono_us() - 2 * SHED_STANDING_US);
	cr_expect_not(refused(&shed, 40 * MS));
	cr_expect_not(refused(&shed, 40 * MS));
}

Test(shed, an_idle_thread_means_no_queue)
{
	struct shed shed = { .timeout_us = 25 * MS };

	stand(&shed, SHED_STANDING_US + 100 * MS);
	shed_wait(&shed);
	cr_expect_not(refused(&shed, 40 * MS));
	shed_work(&shed);
	stand(&shed, SHED_STANDING_US + 100 * MS);
	cr_expect(refused(&shed, 40 * MS));
}

Test(shed, without_a_timeout_or_a_time_nothing_is_refused)
{
	struct shed shed = { .timeout_us = 0 };
	const struct http_request req = { .arrived_us = 0 };

	stand(&shed, SHED_STANDING_US + 100 * MS);
	cr_expect_not(refused(&shed, 40 * MS));
	shed.timeout_us = 1;
	cr_expect_not(shed_refuses(&shed, &req));
}
