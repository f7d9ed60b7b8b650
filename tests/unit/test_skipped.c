/*
 * test_skipped.c - what cannot be used is told once, until it can.
 */
#include "journal/skipped.h"

#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

static struct skipped_board board;

Test(skipped, it_is_told_once_by_one_for_all)
{
	struct skipped one, other;

	skipped_init(&one, &board);
	skipped_init(&other, &board);
	cr_expect(skipped_add(&one, "7", ""));
	cr_expect_not(skipped_add(&one, "7", ""));
	cr_expect_not(skipped_add(&other, "7", ""));
	cr_expect(skipped_add(&other, "7", "a.spool"), "another thing");
	cr_expect(skipped_has(&one, "7", ""));
	cr_expect_not(skipped_has(&one, "7", "a.spool"));
	cr_expect(skipped_has(&other, "7", "a.spool"));
	skipped_fini(&one);
	skipped_fini(&other);
}

Test(skipped, what_a_round_does_not_meet_is_forgotten_and_told_again)
{
	struct skipped skipped;

	skipped_init(&skipped, &board);
	cr_expect(skipped_add(&skipped, "1", ""));
	cr_expect(skipped_add(&skipped, "2", ""));
	skipped_begin(&skipped);
	cr_expect_not(skipped_add(&skipped, "2", ""));
	skipped_end(&skipped);
	cr_expect_not(skipped_has(&skipped, "1", ""));
	cr_expect(skipped_has(&skipped, "2", ""));
	cr_expect(skipped_add(&skipped, "1", ""));
	cr_expect_not(skipped_add(&skipped, "2", ""));
	skipped_fini(&skipped);
}

Test(skipped, what_another_sees_to_from_now_on_is_not_told_again)
{
	struct skipped adopter, worker;

	skipped_init(&adopter, &board);
	skipped_init(&worker, &board);
	cr_expect(skipped_add(&adopter, "1", "a.spool"));
	cr_expect(skipped_add(&adopter, "2", "a.spool"));
	skipped_begin(&adopter);
	skipped_leave(&adopter, "1");
	skipped_end(&adopter);
	cr_expect_not(skipped_add(&worker, "1", "a.spool"));
	cr_expect(skipped_add(&worker, "2", "a.spool"));
	skipped_fini(&adopter);
	skipped_fini(&worker);
}

Test(skipped, what_can_be_used_is_not_counted_whoever_told_of_it)
{
	struct skipped dead, successor;

	skipped_init(&dead, &board);
	cr_expect_eq(skipped_count(&board), 0);
	cr_expect(skipped_add(&dead, "1", "a.spool"));
	cr_expect(skipped_add(&dead, "1", "b.spool"));
	cr_expect_eq(skipped_count(&board), 2);
	skipped_fini(&dead);
	skipped_init(&successor, &board);
	skipped_usable(&successor, "1", "a.spool");
	skipped_usable(&successor, "1", "c.spool");
	cr_expect_eq(skipped_count(&board), 1);
	cr_expect(skipped_add(&successor, "1", "a.spool"), "once more");
	cr_expect_not(skipped_add(&successor, "1", "b.spool"));
	skipped_fini(&successor);
}

Test(skipped, more_than_the_board_holds_is_told_all_the_same)
{
	struct skipped skipped;
	char name[SLOT_NAME_SIZE];

	skipped_init(&skipped, &board);
	for (int i = 0; i < SKIPPED_TOLD + 5; i++) {
		(void)snprintf(name, sizeof(name), "%d", i);
		cr_expect(skipped_add(&skipped, name, ""));
		cr_expect_not(skipped_add(&skipped, name, ""));
	}
	cr_expect_eq(skipped.count, SKIPPED_TOLD + 5);
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	cr_expect(skipped_add(&skipped, name, name));
	cr_expect(skipped_has(&skipped, name, name));
	skipped_fini(&skipped);
}
