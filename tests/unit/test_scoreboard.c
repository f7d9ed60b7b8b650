/*
 * test_scoreboard.c - slots, sums and what outlives a worker.
 */
#include <criterion/criterion.h>

#include <stdio.h>

#include "api/budget.h"
#include "api/scoreboard.h"
#include "base/clock.h"
#include "base/uuid.h"
#include "holding.h"

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

Test(scoreboard, a_full_board_gives_up_the_life_that_began_last)
{
	static const int dead[] = { 9, 2, 7 };
	struct uuid life;

	for (int i = 0; i < SCOREBOARD_SLOTS; i++)
		cr_assert_geq(scoreboard_claim(board), 0);
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(uuid_make(&life), OK);
		inflight_begin(board->inflight[dead[i]], &life);
		scoreboard_retire(board, dead[i]);
	}
	for (int i = 2; i >= 0; i--)
		cr_expect_eq(scoreboard_claim(board), dead[i]);
	cr_expect_eq(scoreboard_claim(board), -1);
}

Test(scoreboard, a_slot_is_free_when_what_it_held_is_given_back, .timeout = 60)
{
	int slot = scoreboard_claim(board);
	const struct limit_hold call = {
		.name = "calls", .owner = slot, .amount = 1, .max = 1
	};
	pid_t stopped;

	cr_assert_eq(limit_hold(board->limits, &call), OK);
	stopped = holding_start(board->limits, "calls");
	scoreboard_retire(board, slot);
	scoreboard_tend(board);
	cr_expect_neq(scoreboard_claim(board), slot);
	holding_end(stopped);
	scoreboard_tend(board);
	cr_expect_eq(limit_hold(board->limits, &call), OK);
	cr_expect_eq(scoreboard_claim(board), slot);
}

/* The counter of what a user has spent in the month of a call. */
static void
name_budget(const struct call_row *row, char name[LIMIT_NAME_MAX + 1])
{
	char user[UUID_TEXT_SIZE];
	char month[CLOCK_TEXT_SIZE];

	uuid_text(&row->user_id, user);
	clock_text(row->started_us, month);
	(void)snprintf(name, LIMIT_NAME_MAX + 1, "budget:%s:%.7s", user, month);
}

/* What is held of name in all. */
static int64_t
held(const char *name)
{
	struct limit_hold none = { .name = name };

	while (none.max < 100 && limit_hold(board->limits, &none) != OK)
		none.max++;
	return none.max;
}

Test(scoreboard, what_calls_of_the_dead_cost_is_spent_once, .timeout = 60)
{
	int slot = scoreboard_claim(board);
	char name[LIMIT_NAME_MAX + 1];
	struct call_row row = { .kind = "test",
		.status = CALL_STATUS_RUNNING,
		.completion_tokens = -1,
		.cost_pico = 2,
		.answer_pico = 1 };
	pid_t stopped;

	row.started_us = clock_wall_us();
	cr_assert_eq(uuid_make(&row.user_id), OK);
	name_budget(&row, name);
	cr_assert_eq(limit_hold(board->limits,
			 &(struct limit_hold){ .name = name,
			     .owner = slot,
			     .amount = 50,
			     .max = 50 }),
	    OK);
	for (int i = 0; i < 3; i++) {
		row.id.bytes[0] = (unsigned char)(i + 1);
		inflight_text(inflight_enter(board->inflight[slot], &row),
		    "an answer of some words.", 24);
	}
	stopped = holding_start(board->limits, name);
	scoreboard_retire(board, slot);
	scoreboard_tend(board);
	cr_expect_eq(atomic_load(&board->rows[slot].state), WORKER_GONE);
	holding_end(stopped);
	scoreboard_tend(board);
	cr_expect_eq(atomic_load(&board->rows[slot].state), WORKER_DEAD);
	scoreboard_tend(board);
	cr_expect_eq(held(name), 3 * (2 + 24 / 4));
}

/* A user's budget of a month, as the first call under it leaves it. */
static bool
spend_first(int user, const char *month)
{
	char name[LIMIT_NAME_MAX + 1];
	bool counted;

	(void)snprintf(name, sizeof(name), "budget:%036d:%s", user, month);
	counted = limit_raise(board->limits, name, BUDGET_SPENT, 1,
		      BUDGET_MONTH_MS) == OK;
	(void)snprintf(name, sizeof(name), "known:%036d:%s", user, month);
	return limit_add(board->limits, name, 1, BUDGET_MONTH_MS) == OK &&
	       counted;
}

Test(scoreboard, forty_thousand_budgets_have_room_at_the_turn_of_a_month)
{
	int counted = 0;

	for (int user = 0; user < 40000; user++)
		counted += spend_first(user, "2026-01") &&
			   spend_first(user, "2026-02");
	cr_expect_eq(counted, 40000);
}
