/*
 * test_crowd.c - threads that wait for a slow PostgreSQL.
 */
#include <criterion/criterion.h>

#include "db/crowd.h"

#define T0 INT64_C(1000000000)

static void
enter(struct crowd *crowd, int times)
{
	for (int i = 0; i < times; i++)
		cr_expect(crowd_enter(crowd, T0, false));
}

/* An answer that came late, at T0. */
static void
be_slow(struct crowd *crowd)
{
	enter(crowd, 1);
	crowd_leave(crowd, T0 - CROWD_LATE_US - 1, T0);
}

Test(crowd, a_fast_database_is_asked_by_all)
{
	struct crowd crowd;

	crowd_init(&crowd, 8);
	enter(&crowd, 1);
	crowd_leave(&crowd, T0 - CROWD_LATE_US, T0);
	enter(&crowd, 8);
}

Test(crowd, a_slow_one_by_three_quarters)
{
	struct crowd crowd;

	crowd_init(&crowd, 8);
	be_slow(&crowd);
	enter(&crowd, 6);
	cr_expect_not(crowd_enter(&crowd, T0, false));
	cr_expect_not(crowd_enter(&crowd, T0, false));
	crowd_leave(&crowd, T0, T0);
	cr_expect(crowd_enter(&crowd, T0, false));
}

Test(crowd, what_was_begun_goes_on)
{
	struct crowd crowd;

	crowd_init(&crowd, 4);
	be_slow(&crowd);
	enter(&crowd, 3);
	cr_expect_not(crowd_enter(&crowd, T0, false));
	cr_expect(crowd_enter(&crowd, T0, true));
}

Test(crowd, it_is_slow_until_no_answer_was_late_for_a_while)
{
	struct crowd crowd;

	crowd_init(&crowd, 4);
	be_slow(&crowd);
	enter(&crowd, 3);
	cr_expect_not(crowd_enter(&crowd, T0 + CROWD_MEMORY_US - 1, false));
	cr_expect(crowd_enter(&crowd, T0 + CROWD_MEMORY_US, false));
}

Test(crowd, few_threads_are_some_too)
{
	struct crowd crowd;

	crowd_init(&crowd, 1);
	cr_expect_eq(crowd.most, 1);
	crowd_init(&crowd, 2);
	cr_expect_eq(crowd.most, 1);
	crowd_init(&crowd, 3);
	cr_expect_eq(crowd.most, 2);
}
