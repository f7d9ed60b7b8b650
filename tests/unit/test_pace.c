/*
 * test_pace.c - how long a record would wait.
 */
#include <criterion/criterion.h>

#include "journal/pace.h"

#define SECOND INT64_C(1000000)

Test(pace, follows_the_last_batches)
{
	struct pace pace = { 0 };

	cr_expect_eq(pace_wait_us(&pace, 5, true), 0);
	pace_note(&pace, 8 * SECOND);
	cr_expect_eq(pace_wait_us(&pace, 0, true), 8 * SECOND);
	cr_expect_eq(pace_wait_us(&pace, 1, false), 8 * SECOND);
	cr_expect_eq(pace_wait_us(&pace, 2, true), 16 * SECOND);
	pace_note(&pace, 0);
	cr_expect_eq(pace_wait_us(&pace, 0, true), 4 * SECOND);
}

Test(pace, one_batch_that_took_long_keeps_nobody_out_for_ever)
{
	struct pace pace = { 0 };

	pace_note(&pace, 600 * SECOND);
	cr_expect_gt(pace_wait_us(&pace, 0, true), 10 * SECOND);
	cr_expect_eq(pace_wait_us(&pace, 0, false), 0,
	    "the next one finds out");
}
