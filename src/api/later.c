/*
 * later.c - statements that wait until PostgreSQL takes them.
 *
 * They are done in their order, by one thread: the first one that PostgreSQL
 * does not take shows that the others need not be tried.
 */
#include "api/later.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"

#define PAUSE_MS 100 /* between two tries */

struct job {
	struct job *next;
	enum db_stmt stmt;
	size_t bytes;
	const char *args[]; /* as many as stmt has; then their texts */
};

struct later {
	const struct config *config;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t more;  /* a job came, or stopping */
	struct job *first, **last;
	size_t bytes;
	bool stopping;
	pthread_t thread;
	bool failed; /* the thread's: something was not done */
};

static struct job *
job_new(enum db_stmt stmt, const char *const *args)
{
	size_t count = (size_t)db_statements[stmt].nparams;
	size_t bytes = sizeof(struct job) + count * sizeof(args[0]);
	struct job *job;
	char *text;

	for (size_t i = 0; i < count; i++)
		bytes += args[i] == NULL ? 0 : strlen(args[i]) + 1;
	job = malloc(bytes);
	if (job == NULL)
		return NULL;
	job->next = NULL;
	job->stmt = stmt;
	job->bytes = bytes;
	text = (char *)&job->args[count];
	for (size_t i = 0; i < count; i++) {
		size_t len = args[i] == NULL ? 0 : strlen(args[i]) + 1;

		job->args[i] = args[i] == NULL ? NULL : text;
		if (len > 0)
			memcpy(text, args[i], len);
		text += len;
	}
	return job;
}

/* Waits for one, which stays where it is.  NULL: stopping, and none is left. */
static const struct job *
next_job(struct later *later)
{
	const struct job *job;

	pthread_mutex_lock(&later->lock);
	while (later->first == NULL && !later->stopping)
		pthread_cond_wait(&later->more, &later->lock);
	job = later->first;
	pthread_mutex_unlock(&later->lock);
	return job;
}

static void
remove_first(struct later *later)
{
	struct job *job;

	pthread_mutex_lock(&later->lock);
	job = later->first;
	later->first = job->next;
	if (later->first == NULL)
		later->last = &later->first;
	later->bytes -= job->bytes;
	pthread_mutex_unlock(&later->lock);
	free(job);
}

/* False: stopping. */
static bool
pause_between(struct later *later)
{
	struct timespec until;
	bool stopping;

	clock_in(PAUSE_MS, &until);
	pthread_mutex_lock(&later->lock);
	if (!later->stopping)
		(void)pthread_cond_clockwait(&later->more, &later->lock,
		    CLOCK_MONOTONIC, &until); /* late or early: again */
	stopping = later->stopping;
	pthread_mutex_unlock(&later->lock);
	return !stopping;
}

static void
work(struct later *later, struct db *db)
{
	const struct job *job;
	enum err err;

	while ((job = next_job(later)) != NULL) {
		err = db_query(db, job->stmt, job->args, NULL);
		while ((err == ERR_BUSY || err == ERR_TIMEOUT) &&
		       pause_between(later))
			err = db_query(db, job->stmt, job->args, NULL);
		later->failed = later->failed || err != OK;
		if (err != OK)
			log_warn("%s, which had to wait for PostgreSQL, is not "
				 "done: %s",
			    db_statements[job->stmt].name, err_name(err));
		remove_first(later);
	}
}

static void *
run(void *arg)
{
	struct later *later = arg;
	sigset_t all;
	struct db *db;

	sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, NULL);
	db = db_new(&(struct db_options){ .url = later->config->database_url,
	    .application = "minuted later",
	    .statement_ms = later->config->statement_ms,
	    .lock_ms = later->config->lock_ms });
	if (db == NULL)
		log_error("no memory for what has to wait for PostgreSQL");
	else
		work(later, db);
	db_free(db);
	return NULL;
}

enum err
later_start(const struct config *config, struct later **out)
{
	struct later *later = calloc(1, sizeof(*later));

	if (later == NULL)
		return ERR_MEMORY;
	later->config = config;
	later->last = &later->first;
	pthread_mutex_init(&later->lock, NULL);
	pthread_cond_init(&later->more, NULL);
	if (pthread_create(&later->thread, NULL, run, later) != 0) {
		log_error("cannot start the thread of what is done later");
		pthread_cond_destroy(&later->more);
		pthread_mutex_destroy(&later->lock);
		free(later);
		return ERR_SYSTEM;
	}
	*out = later;
	return OK;
}

bool
later_stop(struct later *later)
{
	bool done;

	if (later == NULL)
		return true;
	pthread_mutex_lock(&later->lock);
	later->stopping = true;
	pthread_cond_broadcast(&later->more);
	pthread_mutex_unlock(&later->lock);
	pthread_join(later->thread, NULL);
	done = later->first == NULL && !later->failed;
	while (later->first != NULL)
		remove_first(later);
	pthread_cond_destroy(&later->more);
	pthread_mutex_destroy(&later->lock);
	free(later);
	return done;
}

enum err
later_do(struct later *later, enum db_stmt stmt, const char *const *args)
{
	struct job *job;
	size_t room = LATER_BYTES_MAX;
	enum err err = ERR_BUSY;

	if (later == NULL)
		return ERR_BUSY;
	job = job_new(stmt, args);
	if (job == NULL)
		return ERR_MEMORY;
	if (job->bytes > LATER_SHORT)
		room = LATER_BYTES_MAX / 4 * 3;
	pthread_mutex_lock(&later->lock);
	if (!later->stopping && later->bytes + job->bytes <= room) {
		later->bytes += job->bytes;
		*later->last = job;
		later->last = &job->next;
		pthread_cond_signal(&later->more);
		err = OK;
	}
	pthread_mutex_unlock(&later->lock);
	if (err != OK)
		free(job);
	return err;
}
