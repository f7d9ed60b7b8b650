/*
 * after.c - threads that store what a model call brought.
 *
 * The queue is in order of arrival, so those whose time is over are at its
 * head: while PostgreSQL is away one job waits for it and the others are ended
 * one after the other when their time is up.
 */
#include "api/after.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"

#define THREADS   2    /* a worker; each has a connection */
#define QUEUE_MAX 4096 /* more than that waiting: something is wrong */
#define PAUSE_MS  50   /* between two tries */

struct job {
	struct job *next;
	struct after *after;
	struct call *call;
	const struct after_steps *steps;
	int64_t until_us; /* no try begins after that */
	enum err err;
	struct relay_task back;
};

struct after {
	const struct config *config;
	struct relay *relay;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t more;  /* a job came, or stopping */
	struct job *first, **last;
	size_t queued;
	bool stopping;
	pthread_t threads[THREADS];
	size_t thread_count;
};

static struct job *
next_job(struct after *after)
{
	struct job *job;

	pthread_mutex_lock(&after->lock);
	while (after->first == NULL && !after->stopping)
		pthread_cond_wait(&after->more, &after->lock);
	job = after->first;
	if (job != NULL) {
		after->first = job->next;
		if (after->first == NULL)
			after->last = &after->first;
		after->queued--;
	}
	pthread_mutex_unlock(&after->lock);
	return job;
}

static bool
is_worth_a_try(struct after *after, const struct job *job)
{
	bool stopping;

	pthread_mutex_lock(&after->lock);
	stopping = after->stopping;
	pthread_mutex_unlock(&after->lock);
	return !stopping && clock_mono_us() < job->until_us;
}

static void
pause_between(void)
{
	const struct timespec time = { .tv_nsec = PAUSE_MS * 1000000L };

	(void)nanosleep(&time, NULL); /* signals are blocked */
}

static void
work(struct job *job, struct db *db)
{
	job->err = ERR_BUSY;
	if (clock_mono_us() >= job->until_us)
		return;
	job->err = job->steps->work(job->call, db);
	while ((job->err == ERR_BUSY || job->err == ERR_TIMEOUT) &&
	       is_worth_a_try(job->after, job)) {
		pause_between();
		job->err = job->steps->work(job->call, db);
	}
}

static void
go_on(void *arg)
{
	struct job *job = arg;

	/* then() may end the request, whose arena the job is in */
	job->steps->then(job->call, job->err);
}

static void *
run(void *arg)
{
	struct after *after = arg;
	sigset_t all;
	struct job *job;
	struct db *db;

	sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, NULL);
	db = db_new(&(struct db_options){ .url = after->config->database_url,
	    .application = "minuted store",
	    .statement_ms = after->config->statement_ms,
	    .lock_ms = after->config->lock_ms });
	for (job = next_job(after); job != NULL; job = next_job(after)) {
		if (db == NULL)
			job->err = ERR_MEMORY;
		else
			work(job, db);
		job->back.run = go_on;
		job->back.arg = job;
		relay_post(after->relay, &job->back);
	}
	db_free(db);
	return NULL;
}

enum err
after_start(const struct config *config, struct relay *relay,
    struct after **out)
{
	struct after *after = calloc(1, sizeof(*after));

	if (after == NULL)
		return ERR_MEMORY;
	after->config = config;
	after->relay = relay;
	after->last = &after->first;
	pthread_mutex_init(&after->lock, NULL);
	pthread_cond_init(&after->more, NULL);
	for (size_t i = 0; i < THREADS; i++) {
		if (pthread_create(&after->threads[i], NULL, run, after) != 0) {
			log_error("cannot start the store pool");
			after_stop(after);
			return ERR_SYSTEM;
		}
		after->thread_count++;
	}
	*out = after;
	return OK;
}

void
after_stop(struct after *after)
{
	if (after == NULL)
		return;
	pthread_mutex_lock(&after->lock);
	after->stopping = true;
	pthread_cond_broadcast(&after->more);
	pthread_mutex_unlock(&after->lock);
	for (size_t i = 0; i < after->thread_count; i++)
		pthread_join(after->threads[i], NULL);
	pthread_cond_destroy(&after->more);
	pthread_mutex_destroy(&after->lock);
	free(after);
}

static enum err
enqueue(struct after *after, struct job *job)
{
	enum err err = ERR_BUSY;

	pthread_mutex_lock(&after->lock);
	if (after->queued < QUEUE_MAX && !after->stopping) {
		*after->last = job;
		after->last = &job->next;
		after->queued++;
		pthread_cond_signal(&after->more);
		err = OK;
	}
	pthread_mutex_unlock(&after->lock);
	return err;
}

void
after_call(struct after *after, struct call *call,
    const struct after_steps *steps)
{
	struct http_request *req = outlet_request(call->outlet);
	struct job *job = arena_alloc(req->arena, sizeof(*job));
	enum err err;

	if (job == NULL) {
		steps->then(call, ERR_MEMORY);
		return;
	}
	job->after = after;
	job->call = call;
	job->steps = steps;
	job->until_us = clock_mono_us() + AFTER_TRY_MS * INT64_C(1000);
	err = enqueue(after, job);
	if (err != OK)
		steps->then(call, err);
}

void
after_fail(struct call *call, enum err err)
{
	call->end = CALL_FAILED;
	call_fail(call,
	    err == ERR_BUSY || err == ERR_TIMEOUT || err == ERR_MEMORY
		? "log_unavailable"
		: "internal_error",
	    NULL);
}
