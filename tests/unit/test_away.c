/*
 * test_away.c - the verdict that all connections of a process share.
 */
#include "db/away.h"

#include <criterion/criterion.h>

#define MS 1000LL

Test(away, everybody_may_connect_at_first)
{
	cr_expect(away_may_try(1 * MS));
	cr_expect(away_may_try(1 * MS));
	cr_expect_not(away_ended());
}

Test(away, after_a_failure_nobody_tries_for_a_while)
{
	cr_expect(away_may_try(1000 * MS));
	cr_expect(away_failed(1000 * MS, 1001 * MS), "the first is news");
	cr_expect_not(away_may_try(1002 * MS));
	cr_expect_not(away_may_try(1050 * MS));
	cr_expect(away_may_try(1102 * MS), "at most 100 ms later");
}

Test(away, only_one_tries_at_a_time)
{
	cr_expect(away_failed(1000 * MS, 1000 * MS));
	cr_expect(away_may_try(1100 * MS));
	cr_expect_not(away_may_try(1100 * MS));
	cr_expect_not(away_may_try(4000 * MS));
	cr_expect(away_may_try(6200 * MS), "whose turn it was is gone");
}

Test(away, several_that_fail_together_are_one_failure)
{
	cr_expect(away_failed(1000 * MS, 1010 * MS));
	for (int i = 0; i < 20; i++)
		cr_expect_not(away_failed(1005 * MS, 1010 * MS));
	cr_expect(away_may_try(1111 * MS));
}

Test(away, the_wait_leaves_a_try_its_part_of_a_second)
{
	int64_t now = 1000 * MS;

	for (int i = 0; i < 20; i++) {
		(void)away_failed(now, now + 1);
		now += 801 * MS;
		cr_expect(away_may_try(now), "try %d", i);
	}
}

Test(away, success_ends_it_for_everybody)
{
	cr_expect(away_failed(1000 * MS, 1000 * MS));
	cr_expect(away_may_try(1200 * MS));
	cr_expect(away_ended(), "it was away");
	cr_expect(away_may_try(1200 * MS));
	cr_expect(away_may_try(1200 * MS));
	cr_expect_not(away_ended());
	cr_expect(away_failed(1300 * MS, 1301 * MS), "news again");
	cr_expect(away_may_try(1402 * MS), "the wait is short again");
}
