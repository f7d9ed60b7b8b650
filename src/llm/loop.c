/*
 * loop.c - epoll with callbacks.
 */
#include "llm/loop.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"

#define ROUND_MAX 256 /* events taken from the kernel at once */

struct watch {
	loop_fn fn; /* NULL: removed, in loop->dead */
	void *arg;
	int fd;
	struct watch *next;
};

struct loop {
	int epoll;
	struct watch *dead;
	atomic_llong busy_us; /* since when something is done; 0: it waits */
	struct epoll_event ready[ROUND_MAX];
};

struct loop *
loop_new(void)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (loop == NULL)
		return NULL;
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll < 0) {
		free(loop);
		return NULL;
	}
	return loop;
}

static void
bury(struct loop *loop)
{
	struct watch *watch;

	while (loop->dead != NULL) {
		watch = loop->dead;
		loop->dead = watch->next;
		free(watch);
	}
}

void
loop_free(struct loop *loop)
{
	if (loop == NULL)
		return;
	bury(loop);
	close(loop->epoll);
	free(loop);
}

/* Adds or changes, whichever the kernel wants: a descriptor that was closed
 * and opened again under the same number is not in the set any more. */
static bool
apply(struct loop *loop, struct watch *watch, uint32_t events, int op)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };
	int other = op == EPOLL_CTL_ADD ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (epoll_ctl(loop->epoll, op, watch->fd, &event) == 0)
		return true;
	if (errno != EEXIST && errno != ENOENT)
		return false;
	return epoll_ctl(loop->epoll, other, watch->fd, &event) == 0;
}

struct watch *
loop_add(struct loop *loop, int fd, uint32_t events, loop_fn fn, void *arg)
{
	struct watch *watch = calloc(1, sizeof(*watch));

	if (watch == NULL)
		return NULL;
	watch->fn = fn;
	watch->arg = arg;
	watch->fd = fd;
	if (!apply(loop, watch, events, EPOLL_CTL_ADD)) {
		free(watch);
		return NULL;
	}
	return watch;
}

void
loop_change(struct loop *loop, struct watch *watch, uint32_t events)
{
	(void)apply(loop, watch, events, EPOLL_CTL_MOD);
}

void
loop_remove(struct loop *loop, struct watch *watch)
{
	if (watch == NULL)
		return;
	/* Fails when the descriptor is closed already, which is as good. */
	(void)epoll_ctl(loop->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
	watch->fn = NULL;
	watch->next = loop->dead;
	loop->dead = watch;
}

static int
timeout_ms(int64_t due_us)
{
	int64_t left = due_us - clock_mono_us();

	if (left <= 0)
		return 0;
	if (left > 60 * 1000000)
		return 60 * 1000;
	return (int)((left + 999) / 1000);
}

int64_t
loop_busy_since_us(const struct loop *loop)
{
	return atomic_load_explicit(&loop->busy_us, memory_order_relaxed);
}

enum err
loop_round(struct loop *loop, int64_t due_us, void (*after)(void *arg),
    void *arg)
{
	int timeout = timeout_ms(due_us);
	struct watch *watch;
	int count;

	atomic_store_explicit(&loop->busy_us, 0, memory_order_relaxed);
	count = epoll_wait(loop->epoll, loop->ready, ROUND_MAX, timeout);
	atomic_store_explicit(&loop->busy_us, clock_mono_us(),
	    memory_order_relaxed);
	if (count < 0)
		return errno == EINTR ? OK : ERR_SYSTEM;
	for (int i = 0; i < count; i++) {
		watch = loop->ready[i].data.ptr;
		if (watch->fn == NULL)
			continue;
		watch->fn(watch->arg, watch->fd, loop->ready[i].events);
		after(arg);
	}
	bury(loop);
	return OK;
}
