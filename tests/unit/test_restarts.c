/*
 * test_restarts.c - deaths are answered at once, crash loops with growing
 * pauses.
 */
#include "process/restarts.h"

#include <criterion/criterion.h>

#define SECOND ((int64_t)1000000)
#define START  (1000 * SECOND)

/* Deaths at one moment, until one is not answered at once: its pause. */
static int64_t
use_up(struct restarts *restarts, int64_t now_us)
{
	for (int i = 0; i < RESTARTS_BURST; i++)
		cr_assert_eq(restarts_pause_us(restarts, now_us, false), 0,
		    "death %d", i);
	return restarts_pause_us(restarts, now_us, false);
}

Test(restarts, a_burst_is_answered_at_once)
{
	struct restarts restarts = { 0 };

	cr_expect_eq(use_up(&restarts, START), RESTARTS_MIN_US);
}

Test(restarts, the_first_burst_too_however_short_the_machine_runs)
{
	struct restarts restarts = { 0 };

	cr_expect_eq(use_up(&restarts, 1000), RESTARTS_MIN_US);
}

Test(restarts, so_many_a_second_are_answered_at_once_for_ever)
{
	struct restarts restarts = { 0 };
	int64_t now = START;

	for (int i = 0; i < 1000; i++) {
		cr_assert_eq(restarts_pause_us(&restarts, now, false), 0);
		now += SECOND / RESTARTS_PER_SECOND;
	}
}

Test(restarts, pauses_grow_to_the_longest)
{
	struct restarts restarts = { 0 };
	int64_t pause = use_up(&restarts, START);

	for (int64_t wanted = RESTARTS_MIN_US; wanted < RESTARTS_MAX_US;
	     wanted *= 2) {
		cr_expect_eq(pause, wanted);
		pause = restarts_pause_us(&restarts, START, false);
	}
	cr_expect_eq(pause, RESTARTS_MAX_US);
	cr_expect_eq(restarts_pause_us(&restarts, START, false),
	    RESTARTS_MAX_US);
}

Test(restarts, half_the_credit_ends_a_crash_loop)
{
	const int64_t half_us = RESTARTS_BURST / 2 * SECOND / 8;
	struct restarts restarts = { 0 };

	cr_assert_eq(RESTARTS_PER_SECOND, 8);
	(void)use_up(&restarts, START);
	cr_expect_gt(restarts_pause_us(&restarts, START + half_us - 2, false),
	    0);
	cr_expect_eq(restarts_pause_us(&restarts, START + half_us, false), 0);
}

Test(restarts, one_that_cannot_start_waits_longer_each_time)
{
	struct restarts restarts = { 0 };
	int64_t now = START;
	int64_t pause = 0, before;

	for (int i = 0; i < 10; i++) {
		before = pause;
		pause = restarts_pause_us(&restarts, now, true);
		cr_expect_eq(pause, before == 0 ? RESTARTS_MIN_US
				    : before * 2 > RESTARTS_MAX_US
					? RESTARTS_MAX_US
					: before * 2);
		now += pause;
	}
	cr_expect_eq(pause, RESTARTS_MAX_US);
}

Test(restarts, a_failed_start_of_long_ago_is_forgotten)
{
	struct restarts restarts = { 0 };

	for (int i = 0; i < 5; i++)
		(void)restarts_pause_us(&restarts, START, true);
	cr_expect_eq(restarts_pause_us(&restarts, START + 60 * SECOND, true),
	    RESTARTS_MIN_US);
}

Test(restarts, new_settings_begin_anew)
{
	struct restarts restarts = { 0 };

	(void)use_up(&restarts, START);
	(void)restarts_pause_us(&restarts, START, false);
	restarts_forget(&restarts);
	cr_expect_eq(restarts_pause_us(&restarts, START, false),
	    RESTARTS_MIN_US);
}
