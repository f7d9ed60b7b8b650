/*
 * test_balance.c - connections are spread over the workers.
 */
#include "process/balance.h"

#include <criterion/criterion.h>

#define WORKERS 4

static int
least_of(const int *open)
{
	int least = open[0];

	for (int i = 1; i < WORKERS; i++)
		least = open[i] < least ? open[i] : least;
	return least;
}

/* The kernel always asks the first that listens. */
static void
take(int *open, int count)
{
	for (; count > 0; count--) {
		int worker = 0;

		while (worker < WORKERS &&
		       balance_has_share(open[worker], least_of(open)))
			worker++;
		cr_assert_lt(worker, WORKERS, "nobody listens");
		open[worker]++;
	}
}

Test(balance, few_connections_are_anybodys)
{
	cr_expect_not(balance_has_share(BALANCE_SLACK - 1, 0));
	cr_expect(balance_has_share(BALANCE_SLACK, 0));
}

Test(balance, the_least_loaded_always_takes)
{
	for (int open = 0; open < 100000; open += 37)
		cr_expect_not(balance_has_share(open, open));
}

Test(balance, a_greedy_worker_gets_an_eighth_more_than_the_least_at_most)
{
	for (int count = 100; count <= 10000; count += 330) {
		int open[WORKERS] = { 0 };
		int least;

		take(open, count);
		least = least_of(open);
		cr_expect_leq(open[0], least + BALANCE_SLACK + least / 8);
		cr_expect_gt(least, (count / WORKERS) * 3 / 4 - BALANCE_SLACK);
	}
}

Test(balance, a_worker_that_comes_new_catches_up)
{
	int open[WORKERS] = { 500, 500, 500, 0 };

	take(open, 439);
	cr_expect_eq(open[3], 439);
	take(open, 100);
	cr_expect_gt(open[3], 439);
}
