/*
 * test_limit.c - limits hold whatever the number of takers, and whoever dies.
 */
#include "limit/limit.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "base/clock.h"
#include "holding.h"

#define HOUR_MS 3600000
#define TAKERS  8
#define TRIES   2000
#define MAX     5000

static void
wait_ms(long ms)
{
	struct timespec pause = { .tv_nsec = ms * 1000000 };

	(void)nanosleep(&pause, NULL);
}

Test(limit, n_allowed_means_n_pass)
{
	struct limits *limits = limits_map(100);
	struct limit_state state;

	for (int i = 0; i < 3; i++) {
		cr_expect_eq(limit_take(limits, "a", 1, 3, HOUR_MS, &state),
		    OK);
		cr_expect_eq(state.limit, 3);
		cr_expect_eq(state.remaining, 2 - i);
		cr_expect_leq(state.reset_s, 3600);
		cr_expect_geq(state.reset_s, 3599);
	}
	cr_expect_eq(limit_take(limits, "a", 1, 3, HOUR_MS, &state), ERR_LIMIT);
	cr_expect_eq(state.remaining, 0);
	cr_expect_eq(limit_take(limits, "b", 1, 3, HOUR_MS, NULL), OK);
	limits_unmap(limits);
}

Test(limit, what_does_not_fit_takes_nothing)
{
	struct limits *limits = limits_map(100);

	cr_expect_eq(limit_take(limits, "a", 7, 10, HOUR_MS, NULL), OK);
	cr_expect_eq(limit_take(limits, "a", 4, 10, HOUR_MS, NULL), ERR_LIMIT);
	cr_expect_eq(limit_take(limits, "a", 3, 10, HOUR_MS, NULL), OK);
	limits_unmap(limits);
}

/* How much of 90 was taken; -1: it was refused. */
static int64_t
part_of(struct limits *limits, int64_t least, int64_t most, int64_t parts)
{
	const struct limit_part part = { .name = "a",
		.least = least,
		.most = most,
		.parts = parts,
		.max = 90,
		.window_ms = HOUR_MS };
	int64_t taken;

	return limit_take_part(limits, &part, &taken) == OK ? taken : -1;
}

Test(limit, a_part_takes_no_more_than_leaves_as_much_to_the_others)
{
	struct limits *limits = limits_map(100);

	cr_expect_eq(part_of(limits, 1, 100, 3), 30);
	cr_expect_eq(part_of(limits, 1, 100, 2), 30);
	cr_expect_eq(part_of(limits, 1, 20, 1), 20, "not more than it wants");
	cr_expect_eq(part_of(limits, 4, 100, 5), 4, "but the least");
	cr_expect_eq(part_of(limits, 7, 100, 1), -1, "or nothing");
	cr_expect_eq(part_of(limits, 0, 100, 1), 6);
	cr_expect_eq(part_of(limits, 0, 100, 1), 0);
	cr_expect_eq(limit_add(limits, "a", 1, HOUR_MS), OK);
	cr_expect_eq(part_of(limits, 0, 100, 1), -1, "it is passed already");
	limits_unmap(limits);
}

Test(limit, a_window_ends)
{
	struct limits *limits = limits_map(100);

	cr_expect_eq(limit_take(limits, "a", 1, 1, 50, NULL), OK);
	cr_expect_eq(limit_take(limits, "a", 1, 1, 50, NULL), ERR_LIMIT);
	wait_ms(60);
	cr_expect_eq(limit_take(limits, "a", 1, 1, 50, NULL), OK);
	limits_unmap(limits);
}

Test(limit, looking_takes_nothing)
{
	struct limits *limits = limits_map(100);
	struct limit_state state;

	cr_expect_eq(limit_look(limits, "a", 1, HOUR_MS, &state), OK);
	cr_expect_eq(state.remaining, 1);
	cr_expect_eq(limit_take(limits, "a", 1, 1, HOUR_MS, NULL), OK);
	cr_expect_eq(limit_look(limits, "a", 1, HOUR_MS, &state), ERR_LIMIT);
	limit_forget(limits, "a");
	cr_expect_eq(limit_look(limits, "a", 1, HOUR_MS, NULL), OK);
	limits_unmap(limits);
}

Test(limit, what_is_known_afterwards_counts_over_the_limit)
{
	struct limits *limits = limits_map(100);

	cr_expect_eq(limit_add(limits, "a", 500, HOUR_MS), OK);
	cr_expect_eq(limit_take(limits, "a", 1, 400, HOUR_MS, NULL), ERR_LIMIT);
	cr_expect_eq(limit_take(limits, "a", 1, 501, HOUR_MS, NULL), OK);
	cr_expect_eq(limit_add(limits, "a", INT64_MAX, HOUR_MS), OK);
	cr_expect_eq(limit_look(limits, "a", INT64_MAX, HOUR_MS, NULL),
	    ERR_LIMIT);
	limits_unmap(limits);
}

Test(limit, what_was_not_used_is_given_back_to_its_window)
{
	struct limits *limits = limits_map(100);
	struct limit_state taken;

	cr_assert_eq(limit_take(limits, "a", 3, 4, HOUR_MS, &taken), OK);
	limit_give(limits, "a", 2, &taken);
	cr_expect_eq(limit_take(limits, "a", 3, 4, HOUR_MS, NULL), OK);
	cr_expect_eq(limit_take(limits, "a", 1, 4, HOUR_MS, NULL), ERR_LIMIT);
	limit_give(limits, "a", 100, &taken);
	cr_expect_eq(limit_take(limits, "a", 4, 4, HOUR_MS, NULL), OK);
	limit_give(limits, "nobody", 1, &taken);
	limits_unmap(limits);
}

Test(limit, nothing_is_given_back_to_the_next_window)
{
	struct limits *limits = limits_map(100);
	struct limit_state taken;

	cr_assert_eq(limit_take(limits, "a", 2, 2, 50, &taken), OK);
	wait_ms(60);
	cr_assert_eq(limit_take(limits, "a", 2, 2, HOUR_MS, NULL), OK);
	limit_give(limits, "a", 2, &taken);
	cr_expect_eq(limit_take(limits, "a", 1, 2, HOUR_MS, NULL), ERR_LIMIT);
	limits_unmap(limits);
}

/* What all owners hold: one more of them is let in under a ceiling of that and
 * one.  Owner is one that holds something. */
static int64_t
held(struct limits *limits, const char *name, int owner)
{
	struct limit_hold one = { name, owner, 1, 1, 0, NULL };

	while (one.max < 100 && limit_hold(limits, &one) != OK)
		one.max++;
	limit_release(limits, name, owner, 1);
	return one.max - 1;
}

Test(limit, raising_never_lowers_and_leaves_reservations_beside)
{
	struct limits *limits = limits_map(100);
	const struct limit_hold call = { "a", 1, 4, 100, 0, NULL };

	cr_expect_eq(limit_raise(limits, "a", 9, 10, 0), OK);
	cr_expect_eq(limit_raise(limits, "a", 9, 5, 0), OK);
	cr_expect_eq(held(limits, "a", 9), 10);
	cr_assert_eq(limit_hold(limits, &call), OK);
	cr_expect_eq(limit_raise(limits, "a", 9, 20, 0), OK);
	cr_expect_eq(held(limits, "a", 9), 24);
	limit_release(limits, "a", 1, 4);
	cr_expect_eq(held(limits, "a", 9), 20);
	limits_unmap(limits);
}

/* Owner's reservation turns out to be amount, which to has used. */
static void
move(struct limits *limits, int owner, int to, int64_t reserved, int64_t amount)
{
	cr_assert_eq(limit_move(limits, &(struct limit_move){ .name = "a",
					    .owner = owner,
					    .reserved = reserved,
					    .to = to,
					    .amount = amount }),
	    OK);
}

Test(limit, what_a_call_that_ends_has_used_is_not_raised_twice)
{
	struct limits *limits = limits_map(100);
	const struct limit_hold call = { "a", 1, 10, 100, 0, NULL };

	cr_assert_eq(limit_hold(limits, &call), OK);
	move(limits, 1, 1, 10, 4);
	cr_expect_eq(held(limits, "a", 1), 4);
	/* the tables may have these 4 already, and 6 of somebody else */
	cr_expect_eq(limit_raise(limits, "a", 9, 10, 0), OK);
	cr_expect_eq(held(limits, "a", 9), 10);
	cr_assert_eq(limit_move(limits, &(struct limit_move){ .name = "a",
					    .owner = 1,
					    .used = 4,
					    .to = 9,
					    .amount = 4 }),
	    OK);
	cr_expect_eq(held(limits, "a", 9), 10);
	limits_unmap(limits);
}

Test(limit, a_dead_owners_use_is_inherited_before_it_holds_nothing)
{
	struct limits *limits = limits_map(100);
	const struct limit_hold call = { "a", 1, 10, 100, 0, NULL };
	const struct limit_move spent = {
		.name = "a", .owner = 1, .to = 9, .amount = 3
	};

	cr_expect_eq(limit_inherit(limits, &spent), OK);
	cr_expect_eq(held(limits, "a", 9), 0, "it holds nothing");
	cr_assert_eq(limit_hold(limits, &call), OK);
	cr_expect_eq(limit_inherit(limits, &spent), OK);
	cr_expect_eq(limit_inherit(limits, &spent), OK, "of two calls");
	cr_expect_eq(held(limits, "a", 9), 16);
	cr_expect_eq(limit_release_owner(limits, 1), OK);
	cr_expect_eq(held(limits, "a", 9), 6);
	limits_unmap(limits);
}

Test(limit, what_lasts_for_so_long_is_over_then)
{
	struct limits *limits = limits_map(100);

	cr_expect_eq(limit_raise(limits, "a", 9, 10, 50), OK);
	cr_expect_eq(limit_raise(limits, "b", 9, 10, HOUR_MS), OK);
	cr_expect_eq(held(limits, "a", 1), 10);
	wait_ms(60);
	cr_expect_eq(held(limits, "a", 1), 0);
	cr_expect_eq(held(limits, "b", 1), 10);
	cr_expect_eq(limit_raise(limits, "a", 9, 4, HOUR_MS), OK);
	cr_expect_eq(held(limits, "a", 1), 4);
	limits_unmap(limits);
}

Test(limit, a_table_full_of_holds_that_are_over_has_places)
{
	struct limits *limits = limits_map(256);
	char name[32];
	int taken = 0;

	for (int i = 0; i < 2000; i++) {
		(void)snprintf(name, sizeof(name), "month %d", i);
		taken += limit_raise(limits, name, 9, 1, 50) == OK;
	}
	cr_assert_lt(taken, 2000);
	wait_ms(60);
	for (int i = 0; i < 20; i++) {
		(void)snprintf(name, sizeof(name), "next %d", i);
		cr_expect_eq(limit_raise(limits, name, 9, 1, HOUR_MS), OK);
	}
	limits_unmap(limits);
}

Test(limit, a_long_name_is_refused)
{
	struct limits *limits = limits_map(100);
	char name[LIMIT_NAME_MAX + 2];

	memset(name, 'x', sizeof(name));
	name[LIMIT_NAME_MAX + 1] = '\0';
	cr_expect_eq(limit_take(limits, name, 1, 1, 1, NULL), ERR_BUG);
	name[LIMIT_NAME_MAX] = '\0';
	cr_expect_eq(limit_take(limits, name, 1, 1, 1, NULL), OK);
	limits_unmap(limits);
}

/* Takes with new names until there is no place; how many had one. */
static int
fill(struct limits *limits, int64_t window_ms)
{
	char name[32];
	int taken = 0;

	for (int i = 0; i < 2000; i++) {
		(void)snprintf(name, sizeof(name), "name %d", i);
		taken += limit_take(limits, name, 1, 1, window_ms, NULL) == OK;
	}
	return taken;
}

Test(limit, a_full_table_is_busy_and_never_forgets)
{
	struct limits *limits = limits_map(256);
	char name[32];

	cr_assert_eq(limit_take(limits, "first", 1, 1, HOUR_MS, NULL), OK);
	cr_expect_leq(fill(limits, HOUR_MS), 64 * 5);
	for (int i = 2000; i < 2100; i++) {
		(void)snprintf(name, sizeof(name), "name %d", i);
		cr_expect_eq(limit_take(limits, name, 1, 1, HOUR_MS, NULL),
		    ERR_BUSY);
	}
	cr_expect_eq(limit_take(limits, "first", 1, 1, HOUR_MS, NULL),
	    ERR_LIMIT);
	limits_unmap(limits);
}

Test(limit, places_are_used_again_after_their_window)
{
	struct limits *limits = limits_map(4096);

	cr_expect_eq(fill(limits, 100), 2000);
	wait_ms(120);
	cr_expect_eq(fill(limits, 100), 2000);
	limits_unmap(limits);
}

Test(limit, windows_of_which_nothing_is_used_leave_their_places_to_others)
{
	struct limits *limits = limits_map(256);
	struct limit_state taken;
	char name[32];

	for (int i = 0; i < 2000; i++) {
		(void)snprintf(name, sizeof(name), "name %d", i);
		cr_assert_eq(limit_take(limits, name, 1, 1, HOUR_MS, &taken),
		    OK, "%d", i);
		limit_give(limits, name, 1, &taken);
	}
	limits_unmap(limits);
}

Test(limit, who_has_the_place_of_another_keeps_what_it_took)
{
	struct limits *limits = limits_map(1); /* one place a shard */
	struct limit_state first, taken;
	char other[32] = "";

	cr_assert_eq(limit_take(limits, "first", 1, 2, HOUR_MS, &first), OK);
	for (int i = 0; i < 2000; i++) {
		(void)snprintf(other, sizeof(other), "other %d", i);
		if (limit_take(limits, other, 0, 1, HOUR_MS, NULL) == ERR_BUSY)
			break; /* in the shard of the first */
	}
	limit_give(limits, "first", 1, &first);
	cr_expect_eq(limit_take(limits, other, 1, 1, HOUR_MS, &taken), OK);
	limit_give(limits, "first", 1, &first);
	cr_expect_eq(limit_look(limits, other, 1, HOUR_MS, NULL), ERR_LIMIT);
	cr_expect_eq(limit_take(limits, "first", 1, 2, HOUR_MS, NULL),
	    ERR_BUSY);
	limit_give(limits, other, 1, &taken);
	cr_expect_eq(limit_take(limits, "first", 2, 2, HOUR_MS, NULL), OK);
	limits_unmap(limits);
}

struct taker {
	struct limits *limits;
	atomic_int *taken;
};

static void *
take_many(void *arg)
{
	struct taker *taker = arg;

	for (int i = 0; i < TRIES; i++)
		if (limit_take(taker->limits, "shared", 1, MAX, HOUR_MS,
			NULL) == OK)
			atomic_fetch_add(taker->taken, 1);
	return NULL;
}

Test(limit, threads_share_a_limit_exactly)
{
	struct taker taker = { .limits = limits_map(100) };
	atomic_int taken = 0;
	pthread_t threads[TAKERS];

	taker.taken = &taken;
	for (int i = 0; i < TAKERS; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, take_many,
				 &taker),
		    0);
	for (int i = 0; i < TAKERS; i++)
		(void)pthread_join(threads[i], NULL);
	cr_expect_eq(atomic_load(&taken), MAX);
	limits_unmap(taker.limits);
}

static atomic_int *
shared_count(void)
{
	atomic_int *count = mmap(NULL, sizeof(*count), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	cr_assert_neq(count, MAP_FAILED);
	return count;
}

static pid_t
start_taker(struct taker *taker)
{
	pid_t pid = fork();

	if (pid == 0) {
		(void)take_many(taker);
		_exit(0);
	}
	return pid;
}

Test(limit, processes_share_a_limit_exactly)
{
	struct taker taker = { .limits = limits_map(100),
		.taken = shared_count() };
	pid_t pids[4];

	for (int i = 0; i < 4; i++)
		pids[i] = start_taker(&taker);
	for (int i = 0; i < 4; i++)
		(void)waitpid(pids[i], NULL, 0);
	cr_expect_eq(atomic_load(taker.taken), MAX);
	limits_unmap(taker.limits);
}

Test(limit, a_taker_that_is_killed_locks_nobody_out)
{
	struct limits *limits = limits_map(10);

	for (int round = 0; round < 50; round++) {
		pid_t pid = fork();

		if (pid == 0)
			for (;;)
				(void)!limit_add(limits, "a", 1, HOUR_MS);
		wait_ms(1 + round % 3);
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		cr_assert_eq(limit_add(limits, "a", 1, HOUR_MS), OK);
	}
	limits_unmap(limits);
}

static enum err
hold(struct limits *limits, int owner, int64_t amount, int64_t taken)
{
	return limit_hold(limits, &(struct limit_hold){ .name = "h",
				      .owner = owner,
				      .amount = amount,
				      .max = 10,
				      .taken = taken });
}

Test(limit, what_is_held_is_given_back)
{
	struct limits *limits = limits_map(100);

	cr_expect_eq(hold(limits, 1, 6, 0), OK);
	cr_expect_eq(hold(limits, 2, 5, 0), ERR_LIMIT);
	cr_expect_eq(hold(limits, 2, 4, 0), OK);
	cr_expect_eq(held(limits, "h", 2), 10);
	limit_release(limits, "h", 1, 5);
	cr_expect_eq(held(limits, "h", 2), 5);
	limit_release(limits, "h", 1, 500);
	cr_expect_eq(held(limits, "h", 2), 4);
	limit_release(limits, "h", 3, 1);
	cr_expect_eq(held(limits, "h", 2), 4);
	limits_unmap(limits);
}

Test(limit, a_dead_owner_holds_nothing)
{
	struct limits *limits = limits_map(100);

	cr_expect_eq(hold(limits, 1, 6, 0), OK);
	cr_expect_eq(hold(limits, 2, 4, 0), OK);
	cr_expect_eq(limit_release_owner(limits, 1), OK);
	cr_expect_eq(held(limits, "h", 2), 4);
	cr_expect_eq(hold(limits, 2, 6, 0), OK);
	limits_unmap(limits);
}

Test(limit, what_is_spent_leaves_less_to_hold)
{
	struct limits *limits = limits_map(100);

	cr_expect_eq(hold(limits, 1, 3, 7), OK);
	cr_expect_eq(hold(limits, 1, 1, 7), ERR_LIMIT);
	cr_expect_eq(hold(limits, 1, 0, 11), ERR_LIMIT);
	cr_expect_eq(hold(limits, 1, -1, 0), ERR_BUG);
	limits_unmap(limits);
}

/* --- a process that is stopped with a lock ---------------------------- */

Test(limit, nobody_waits_long_for_a_taker_that_was_stopped)
{
	struct limits *limits = limits_map(100);
	const struct limit_hold call = { "a", 1, 1, 5, 0, NULL };
	pid_t pid = holding_start(limits, "a");
	int64_t began_us = clock_mono_us();

	for (int i = 0; i < 20; i++) {
		cr_expect_eq(limit_take(limits, "a", 1, 5, HOUR_MS, NULL),
		    ERR_BUSY);
		cr_expect_eq(limit_hold(limits, &call), ERR_BUSY);
	}
	cr_expect_lt(clock_mono_us() - began_us, 1000000);
	holding_end(pid);
	cr_expect_eq(limit_take(limits, "a", 1, 5, HOUR_MS, NULL), OK);
	cr_expect_eq(limit_hold(limits, &call), OK);
	limits_unmap(limits);
}

Test(limit, what_is_given_back_meanwhile_counts_afterwards)
{
	struct limits *limits = limits_map(100);
	struct limit_state taken;
	pid_t pid;

	cr_assert_eq(hold(limits, 1, 6, 0), OK);
	cr_assert_eq(limit_take(limits, "h", 4, 4, HOUR_MS, &taken), OK);
	pid = holding_start(limits, "h");
	limit_release(limits, "h", 1, 5);
	limit_release(limits, "h", 1, 1);
	limit_give(limits, "h", 3, &taken);
	limits_catch_up(limits); /* does not wait */
	cr_expect_eq(hold(limits, 2, 10, 0), ERR_BUSY);
	holding_end(pid);
	limits_catch_up(limits);
	cr_expect_eq(hold(limits, 2, 10, 0), OK);
	cr_expect_eq(limit_take(limits, "h", 3, 4, HOUR_MS, NULL), OK);
	limits_unmap(limits);
}

Test(limit, what_is_owed_is_done_before_anything_else)
{
	struct limits *limits = limits_map(100);
	pid_t pid;

	cr_assert_eq(hold(limits, 1, 10, 0), OK);
	pid = holding_start(limits, "h");
	limit_release(limits, "h", 1, 10);
	holding_end(pid);
	cr_expect_eq(hold(limits, 2, 10, 0), OK);
	limits_unmap(limits);
}

Test(limit, the_dead_are_not_waited_for)
{
	struct limits *limits = limits_map(100);
	int64_t began_us;
	pid_t pid;

	cr_assert_eq(hold(limits, 1, 10, 0), OK);
	pid = holding_start(limits, "h");
	began_us = clock_mono_us();
	cr_expect_eq(limit_release_owner(limits, 1), ERR_BUSY);
	cr_expect_eq(limit_inherit(limits,
			 &(struct limit_move){
			     .name = "h", .owner = 1, .to = 9, .amount = 1 }),
	    ERR_BUSY);
	cr_expect_lt(clock_mono_us() - began_us, 50000);
	holding_end(pid);
	cr_expect_eq(limit_release_owner(limits, 1), OK);
	cr_expect_eq(hold(limits, 2, 10, 0), OK);
	limits_unmap(limits);
}
