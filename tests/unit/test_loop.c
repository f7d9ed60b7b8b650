/*
 * test_loop.c - epoll with callbacks: a removed watch is never called.
 */
#include <criterion/criterion.h>

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "llm/loop.h"

struct bench {
	struct loop *loop;
	struct watch *watches[2];
	int pairs[2][2];
	int called, after;
	uint32_t events;
};

static void
remove_other(void *arg, int fd, uint32_t events)
{
	struct bench *bench = arg;
	int other = fd == bench->pairs[0][0];

	bench->called++;
	bench->events = events;
	loop_remove(bench->loop, bench->watches[other]);
	bench->watches[other] = NULL;
}

static void
count_after(void *arg)
{
	struct bench *bench = arg;

	bench->after++;
}

static void
start(struct bench *bench)
{
	*bench = (struct bench){ .loop = loop_new() };
	cr_assert(bench->loop != NULL);
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0,
				 bench->pairs[i]),
		    0);
		bench->watches[i] = loop_add(bench->loop, bench->pairs[i][0],
		    EPOLLIN, remove_other, bench);
		cr_assert(bench->watches[i] != NULL);
	}
}

static void
stop(struct bench *bench)
{
	for (int i = 0; i < 2; i++) {
		loop_remove(bench->loop, bench->watches[i]);
		close(bench->pairs[i][0]);
		close(bench->pairs[i][1]);
	}
	loop_free(bench->loop);
}

Test(loop, a_watch_removed_in_a_round_is_not_called_in_it)
{
	struct bench bench;

	start(&bench);
	for (int i = 0; i < 2; i++)
		cr_assert_eq(write(bench.pairs[i][1], "x", 1), 1);
	cr_expect_eq(loop_round(bench.loop, clock_mono_us() + 1000000,
			 count_after, &bench),
	    OK);
	cr_expect_eq(bench.called, 1);
	cr_expect_eq(bench.after, 1);
	cr_expect((bench.events & EPOLLIN) != 0);
	stop(&bench);
}

Test(loop, changed_interest_counts)
{
	struct bench bench;

	start(&bench);
	cr_assert_eq(write(bench.pairs[0][1], "x", 1), 1);
	loop_change(bench.loop, bench.watches[0], 0);
	cr_expect_eq(loop_round(bench.loop, clock_mono_us(), count_after,
			 &bench),
	    OK);
	cr_expect_eq(bench.called, 0);
	loop_change(bench.loop, bench.watches[0], EPOLLOUT);
	cr_expect_eq(loop_round(bench.loop, clock_mono_us(), count_after,
			 &bench),
	    OK);
	cr_expect_eq(bench.called, 1);
	stop(&bench);
}

Test(loop, a_round_ends_when_it_is_due)
{
	struct bench bench;
	int64_t due_us = clock_mono_us() + 30000;

	start(&bench);
	cr_expect_eq(loop_round(bench.loop, due_us, count_after, &bench), OK);
	cr_expect_geq(clock_mono_us(), due_us);
	cr_expect_eq(bench.after, 0);
	stop(&bench);
}

Test(loop, a_descriptor_that_cannot_be_watched_is_refused)
{
	struct bench bench;

	start(&bench);
	cr_expect(loop_add(bench.loop, -1, EPOLLIN, remove_other, &bench) ==
		  NULL);
	loop_remove(bench.loop, NULL);
	stop(&bench);
}
