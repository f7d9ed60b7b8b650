/*
 * relay.c - the thread of a worker that runs every model call.
 *
 * Everything of a call belongs to this thread from relay_start() on.  Others
 * reach it through the inbox: lists under relay->lock, and an eventfd that is
 * written once until the inbox was emptied.
 */
#include "llm/relay.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "llm/progress.h"

#define SWEEP_US INT64_C(200000)  /* deadlines are kept this exactly */
#define CUT_US   INT64_C(5000000) /* for the records of what was cut off */

static void
signal_inbox(int event_fd)
{
	uint64_t one = 1;

	/* Fails only when the counter is full, and then it is readable. */
	(void)!write(event_fd, &one, sizeof(one));
}

/* relay->lock is held. */
static void
wake(struct relay *relay)
{
	if (relay->woken)
		return;
	relay->woken = true;
	signal_inbox(relay->event_fd);
}

/*
 * Gives the lock back and wakes the relay, which does not find the lock taken
 * then.  For what relay->left counts: the relay is not gone before it has seen
 * it, and that is after the write.
 */
static void
unlock_and_wake(struct relay *relay)
{
	bool woken = relay->woken;
	int event_fd = relay->event_fd;

	relay->woken = true;
	pthread_mutex_unlock(&relay->lock);
	if (!woken)
		signal_inbox(event_fd);
}

void
relay_kept(struct relay *relay, struct keeping *keeping)
{
	pthread_mutex_lock(&relay->lock);
	keeping->next = NULL;
	*relay->kept_end = keeping;
	relay->kept_end = &keeping->next;
	unlock_and_wake(relay);
}

void
relay_post(struct relay *relay, struct relay_task *task)
{
	pthread_mutex_lock(&relay->lock);
	task->next = NULL;
	*relay->tasks_end = task;
	relay->tasks_end = &task->next;
	wake(relay);
	pthread_mutex_unlock(&relay->lock);
}

void
relay_leave(struct relay *relay)
{
	if (atomic_fetch_sub(&relay->left, 1) != 1)
		return;
	pthread_mutex_lock(&relay->lock);
	pthread_cond_broadcast(&relay->idle);
	pthread_mutex_unlock(&relay->lock);
}

void
relay_echo_add(struct progress *progress)
{
	struct relay *relay = progress->relay;

	progress->echo_prev = relay->echo_last;
	progress->echo_next = NULL;
	if (relay->echo_last != NULL)
		relay->echo_last->echo_next = progress;
	else
		relay->echo_first = progress;
	relay->echo_last = progress;
}

void
relay_echo_remove(struct progress *progress)
{
	struct relay *relay = progress->relay;

	if (progress->echo_prev == NULL && relay->echo_first != progress)
		return;
	if (progress->echo_prev != NULL)
		progress->echo_prev->echo_next = progress->echo_next;
	else
		relay->echo_first = progress->echo_next;
	if (progress->echo_next != NULL)
		progress->echo_next->echo_prev = progress->echo_prev;
	else
		relay->echo_last = progress->echo_prev;
	progress->echo_prev = NULL;
	progress->echo_next = NULL;
}

/* The pace is the same for all, so the one that spoke last is due last. */
static void
tick_echo(struct relay *relay)
{
	int64_t pace_us = relay->config->echo_pace_ms * 1000;
	int64_t now_us = clock_mono_us();
	struct progress *progress;

	while (relay->echo_first != NULL &&
	       relay->echo_first->due_us <= now_us) {
		progress = relay->echo_first;
		relay_echo_remove(progress);
		progress->due_us += pace_us;
		if (progress->due_us <= now_us)
			progress->due_us = now_us + (pace_us > 0 ? pace_us : 1);
		relay_echo_add(progress);
		progress_echo(progress);
		outlets_flush(&relay->outlets);
	}
}

static void
on_left(void *arg, struct outlet *outlet, bool stalled)
{
	(void)arg;
	for (struct call *call = outlet->calls; call != NULL; call = call->next)
		progress_cancel(call->progress, stalled);
}

static void
on_room(void *arg, struct outlet *outlet)
{
	(void)arg;
	for (struct call *call = outlet->calls; call != NULL; call = call->next)
		progress_resume(call->progress);
}

static void
on_over(void *arg)
{
	relay_leave(arg);
}

static void
arrive(struct relay *relay, struct outlet *outlet)
{
	struct outlet *next;

	for (; outlet != NULL; outlet = next) {
		next = outlet->inbox_next;
		outlet_attach(&relay->outlets, outlet);
		for (struct call *call = outlet->calls; call != NULL;
		     call = call->next)
			progress_start(call->progress);
	}
}

static void
settle(struct keeping *keeping)
{
	struct keeping *next;

	for (; keeping != NULL; keeping = next) {
		next = keeping->next;
		keeping_done(keeping);
	}
}

static void
run_tasks(struct relay_task *task)
{
	struct relay_task *next;

	for (; task != NULL; task = next) {
		next = task->next;
		task->run(task->arg);
	}
}

static void
on_inbox(void *arg, int fd, uint32_t events)
{
	struct relay *relay = arg;
	struct outlet *arrived;
	struct keeping *kept;
	struct relay_task *tasks;
	uint64_t count;

	(void)events;
	pthread_mutex_lock(&relay->lock);
	(void)!read(fd, &count, sizeof(count));
	relay->woken = false;
	arrived = relay->arrived;
	relay->arrived = NULL;
	relay->arrived_end = &relay->arrived;
	kept = relay->kept;
	relay->kept = NULL;
	relay->kept_end = &relay->kept;
	tasks = relay->tasks;
	relay->tasks = NULL;
	relay->tasks_end = &relay->tasks;
	pthread_mutex_unlock(&relay->lock);
	settle(kept);
	run_tasks(tasks);
	arrive(relay, arrived);
}

static bool
asked(struct relay *relay, const bool *what)
{
	bool value;

	pthread_mutex_lock(&relay->lock);
	value = *what;
	pthread_mutex_unlock(&relay->lock);
	return value;
}

/* Past the drain's deadline: nothing new is waited for, only records. */
static void
cut_off(struct relay *relay)
{
	struct progress *next;

	for (struct progress *p = relay->open; p != NULL; p = next) {
		next = p->next;
		progress_fail(p, "shutting_down");
	}
	for (struct outlet *o = relay->outlets.all; o != NULL; o = o->next)
		if (o->finishing && o->waits)
			outlet_cut(o, true);
}

static void
sweep(struct relay *relay)
{
	int64_t now_us = clock_mono_us();
	struct progress *next;

	relay->sweep_due_us = now_us + SWEEP_US;
	for (struct progress *p = relay->open; p != NULL; p = next) {
		next = p->next;
		progress_sweep(p, now_us);
	}
	outlets_sweep(&relay->outlets, now_us);
	keeping_sweep(relay);
	if (asked(relay, &relay->cut_asked))
		cut_off(relay);
}

static int64_t
next_due(const struct relay *relay)
{
	int64_t due_us = transfers_due(relay->transfers);
	int64_t watch_us = outlets_due(&relay->outlets);

	if (watch_us < due_us)
		due_us = watch_us;
	if (relay->echo_first != NULL && relay->echo_first->due_us < due_us)
		due_us = relay->echo_first->due_us;
	if (atomic_load(&relay->left) > 0 && relay->sweep_due_us < due_us)
		due_us = relay->sweep_due_us;
	return due_us;
}

static void
after_each(void *arg)
{
	struct relay *relay = arg;

	outlets_flush(&relay->outlets);
}

static void *
run(void *arg)
{
	struct relay *relay = arg;
	sigset_t all;

	sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, NULL);
	while (!asked(relay, &relay->stop_asked)) {
		if (loop_round(relay->loop, next_due(relay), after_each,
			relay) != OK)
			log_warn_errno("relay: epoll");
		transfers_tick(relay->transfers);
		tick_echo(relay);
		outlets_watch(&relay->outlets);
		if (atomic_load(&relay->left) > 0 &&
		    clock_mono_us() >= relay->sweep_due_us)
			sweep(relay);
		outlets_flush(&relay->outlets);
	}
	keeping_abandon(relay);
	outlets_flush(&relay->outlets);
	return NULL;
}

static void
release(struct relay *relay)
{
	transfers_free(relay->transfers);
	if (relay->loop != NULL)
		loop_remove(relay->loop, relay->inbox);
	loop_free(relay->loop);
	if (relay->event_fd >= 0)
		close(relay->event_fd);
	pthread_cond_destroy(&relay->idle);
	pthread_mutex_destroy(&relay->lock);
	free(relay);
}

static void
init_locks(struct relay *relay)
{
	pthread_condattr_t attr;

	/* None of these can fail with glibc. */
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&relay->idle, &attr);
	(void)pthread_condattr_destroy(&attr);
	(void)pthread_mutex_init(&relay->lock, NULL);
}

static enum err
start(struct relay *relay)
{
	relay->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	relay->loop = loop_new();
	if (relay->event_fd < 0 || relay->loop == NULL)
		return ERR_SYSTEM;
	relay->transfers =
	    transfers_new(relay->loop, relay->config->streams_max);
	relay->inbox =
	    loop_add(relay->loop, relay->event_fd, EPOLLIN, on_inbox, relay);
	if (relay->transfers == NULL || relay->inbox == NULL)
		return ERR_MEMORY;
	relay->outlets = (struct outlets){
		.loop = relay->loop,
		.stall_us = relay->config->client_stall_ms * 1000,
		.left = on_left,
		.room = on_room,
		.over = on_over,
		.arg = relay,
	};
	if (pthread_create(&relay->thread, NULL, run, relay) != 0)
		return ERR_SYSTEM;
	return OK;
}

enum err
relay_new(const struct config *config, struct journal *journal,
    struct inflight *inflight, struct relay **out)
{
	struct relay *relay = calloc(1, sizeof(*relay));
	enum err err;

	if (relay == NULL)
		return ERR_MEMORY;
	relay->config = config;
	relay->journal = journal;
	relay->inflight = inflight;
	relay->arrived_end = &relay->arrived;
	relay->kept_end = &relay->kept;
	relay->tasks_end = &relay->tasks;
	init_locks(relay);
	err = start(relay);
	if (err != OK) {
		release(relay);
		return err;
	}
	*out = relay;
	return OK;
}

/* Builds every call; what was built is freed with the request. */
static enum err
prepare(struct relay *relay, struct outlet *outlet, struct call *calls)
{
	enum err err;

	if (atomic_load(&relay->draining) || !journal_accepts(relay->journal))
		return ERR_BUSY;
	for (struct call *call = calls; call != NULL; call = call->next) {
		call->outlet = outlet;
		call->started_us = clock_mono_us();
		call->started_wall_us = clock_wall_us();
		err = progress_new(relay, call);
		if (err != OK)
			return err;
	}
	return OK;
}

static void
hand_over(struct relay *relay, struct outlet *outlet, struct call *calls)
{
	outlet->calls = calls;
	outlet->req->db = NULL;
	for (struct call *call = calls; call != NULL; call = call->next) {
		call->progress->taken = true;
		outlet->calls_open++;
	}
	pthread_mutex_lock(&relay->lock);
	*relay->arrived_end = outlet;
	relay->arrived_end = &outlet->inbox_next;
	unlock_and_wake(relay);
}

enum err
relay_start(struct relay *relay, struct outlet *outlet, struct call *calls)
{
	long long count = 0;
	enum err err = ERR_BUSY;

	for (struct call *call = calls; call != NULL; call = call->next)
		count++;
	if (count == 0)
		return ERR_BUG;
	atomic_fetch_add(&relay->left, count + 1);
	if (atomic_fetch_add(&relay->places, count) + count <=
	    relay->config->streams_max)
		err = prepare(relay, outlet, calls);
	if (err == OK) {
		hand_over(relay, outlet, calls);
		return OK;
	}
	atomic_fetch_sub(&relay->places, count);
	while (count-- >= 0)
		relay_leave(relay);
	return err;
}

/* relay->lock is held.  True when nothing is left. */
static bool
wait_idle(struct relay *relay, int64_t deadline_us)
{
	struct timespec until = { .tv_sec = deadline_us / 1000000,
		.tv_nsec = deadline_us % 1000000 * 1000 };

	while (atomic_load(&relay->left) > 0)
		if (pthread_cond_timedwait(&relay->idle, &relay->lock,
			&until) != 0)
			return atomic_load(&relay->left) == 0;
	return true;
}

void
relay_drain(struct relay *relay, int64_t deadline_us)
{
	atomic_store(&relay->draining, true);
	pthread_mutex_lock(&relay->lock);
	if (!wait_idle(relay, deadline_us)) {
		relay->cut_asked = true;
		wake(relay);
		(void)wait_idle(relay, clock_mono_us() + CUT_US);
	}
	pthread_mutex_unlock(&relay->lock);
}

void
relay_free(struct relay *relay)
{
	if (relay == NULL)
		return;
	relay_drain(relay, clock_mono_us());
	pthread_mutex_lock(&relay->lock);
	relay->stop_asked = true;
	wake(relay);
	pthread_mutex_unlock(&relay->lock);
	(void)pthread_join(relay->thread, NULL);
	if (atomic_load(&relay->left) == 0) {
		release(relay);
		return;
	}
	/* The journal still has records that point here: the process ends with
	 * this memory. */
	log_error("relay: %lld calls or records were left behind",
	    atomic_load(&relay->left));
}

int64_t
relay_busy_since_us(const struct relay *relay)
{
	return loop_busy_since_us(relay->loop);
}

void
relay_stats(const struct relay *relay, struct relay_stats *out)
{
	out->started = atomic_load(&relay->started);
	out->completed = atomic_load(&relay->completed);
	out->failed = atomic_load(&relay->failed);
	out->cancelled = atomic_load(&relay->cancelled);
	out->open = (uint64_t)atomic_load(&relay->places);
}
