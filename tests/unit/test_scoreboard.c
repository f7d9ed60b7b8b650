/*
 * test_scoreboard.c - slots, sums and what outlives a worker.
 */
#include <criterion/criterion.h>

#include "api/scoreboard.h"

#define CALLS 4

static struct scoreboard *board;

static void
setup(void)
{
	board = scoreboard_map(NULL, CALLS);
	cr_assert_not_null(board);
}

static void
teardown(void)
{
	scoreboard_unmap(board);
}

TestSuite(scoreboard, .init = setup, .fini = teardown);

Test(scoreboard, a_slot_is_claimed_once)
{
	int first = scoreboard_claim(board);
	int second = scoreboard_claim(board);

	cr_expect_geq(first, 0);
	cr_expect_geq(second, 0);
	cr_expect_neq(first, second);
}

Test(scoreboard, a_full_board_says_so)
{
	for (int i = 0; i < SCOREBOARD_SLOTS; i++)
		cr_assert_geq(scoreboard_claim(board), 0);
	cr_expect_eq(scoreboard_claim(board), -1);
}

Test(scoreboard, a_retired_slot_is_free_again)
{
	int slot = scoreboard_claim(board);

	scoreboard_retire(board, slot);
	cr_expect_eq(scoreboard_claim(board), slot);
}

Test(scoreboard, sums_outlive_their_worker_and_gauges_do_not)
{
	int slot = scoreboard_claim(board);

	atomic_store(&board->rows[slot].state, WORKER_READY);
	atomic_store(&board->rows[slot].counts[COUNT_REQUESTS], 7);
	atomic_store(&board->rows[slot].counts[COUNT_QUEUED], 5);
	cr_expect_eq(scoreboard_count(board, COUNT_REQUESTS), 7);
	cr_expect_eq(scoreboard_count(board, COUNT_QUEUED), 5);
	scoreboard_retire(board, slot);
	cr_expect_eq(scoreboard_count(board, COUNT_REQUESTS), 7);
	cr_expect_eq(scoreboard_count(board, COUNT_QUEUED), 0);
}

Test(scoreboard, the_least_loaded_is_among_the_ready)
{
	int busy = scoreboard_claim(board);
	int idle = scoreboard_claim(board);

	cr_expect_eq(scoreboard_least(board), 0);
	atomic_store(&board->rows[busy].connections, 9);
	atomic_store(&board->rows[busy].state, WORKER_READY);
	cr_expect_eq(scoreboard_least(board), 9);
	atomic_store(&board->rows[idle].connections, 3);
	atomic_store(&board->rows[idle].state, WORKER_READY);
	cr_expect_eq(scoreboard_least(board), 3);
	atomic_store(&board->rows[idle].state, WORKER_DRAINING);
	cr_expect_eq(scoreboard_least(board), 9);
}

static void
leave_a_call(int slot)
{
	struct call_row row = { .kind = "test", .status = CALL_STATUS_RUNNING };

	row.id.bytes[0] = 1;
	cr_assert_not_null(inflight_enter(board->inflight[slot], &row));
}

Test(scoreboard, a_worker_that_died_with_calls_leaves_its_slot_to_be_swept)
{
	int slot = scoreboard_claim(board);

	leave_a_call(slot);
	scoreboard_retire(board, slot);
	cr_expect_eq(atomic_load(&board->rows[slot].state), WORKER_DEAD);
}

Test(scoreboard, a_full_board_takes_slots_of_the_dead_that_had_no_calls)
{
	struct uuid life;

	cr_assert_eq(uuid_make(&life), OK);
	for (int i = 0; i < SCOREBOARD_SLOTS; i++)
		cr_assert_geq(scoreboard_claim(board), 0);
	inflight_begin(board->inflight[3], &life);
	inflight_begin(board->inflight[5], &life);
	leave_a_call(3);
	scoreboard_retire(board, 3);
	scoreboard_retire(board, 5);
	cr_expect_eq(scoreboard_claim(board), 5);
	cr_expect_eq(scoreboard_claim(board), -1, "calls are not given up");
}
