/*
 * test_waiting.c - who waits for a thread, in the order of coming.
 */
#include "process/waiting.h"

#include <criterion/criterion.h>

/* Links are only handed around. */
static struct link *
link_of(uintptr_t number)
{
	return (struct link *)number;
}

static struct waiting
waiting_of(size_t most)
{
	struct waiting waiting = { 0 };

	cr_assert_eq(waiting_init(&waiting, most), OK);
	return waiting;
}

Test(waiting, the_oldest_is_first_however_often_the_ring_turns)
{
	struct waiting waiting = waiting_of(3);

	cr_assert(waiting_put(&waiting, link_of(1), 1));
	for (uintptr_t i = 2; i < 20; i++) {
		cr_assert(waiting_put(&waiting, link_of(i), (int64_t)i));
		cr_expect_eq(waiting_since_us(&waiting), (int64_t)i - 1);
		cr_expect_eq(waiting_take(&waiting, INT64_MAX), link_of(i - 1));
	}
	waiting_free(&waiting);
}

Test(waiting, who_came_later_is_not_taken)
{
	struct waiting waiting = waiting_of(2);

	cr_assert(waiting_put(&waiting, link_of(1), 100));
	cr_expect_null(waiting_take(&waiting, 99));
	cr_expect_eq(waiting_take(&waiting, 100), link_of(1));
	cr_expect_null(waiting_take(&waiting, 100));
	waiting_free(&waiting);
}

Test(waiting, a_full_one_takes_nobody_and_loses_nobody)
{
	struct waiting waiting = waiting_of(2);

	cr_assert(waiting_put(&waiting, link_of(1), 1));
	cr_assert(waiting_put(&waiting, link_of(2), 2));
	cr_expect_not(waiting_put(&waiting, link_of(3), 3));
	cr_expect_eq(waiting_take(&waiting, INT64_MAX), link_of(1));
	cr_expect(waiting_put(&waiting, link_of(3), 3));
	cr_expect_eq(waiting_take(&waiting, INT64_MAX), link_of(2));
	cr_expect_eq(waiting_take(&waiting, INT64_MAX), link_of(3));
	waiting_free(&waiting);
}

Test(waiting, an_empty_one_has_no_oldest)
{
	struct waiting waiting = waiting_of(1);

	cr_expect_null(waiting_take(&waiting, INT64_MAX));
	cr_expect_eq(waiting_since_us(&waiting), INT64_MAX);
	waiting_free(&waiting);
}

Test(waiting, freeing_one_that_never_was_is_safe)
{
	struct waiting waiting = { 0 };

	waiting_free(&waiting);
}
