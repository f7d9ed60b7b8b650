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

#define PAUSE_MS 100    /* between two tries */
#define GAP_US   100000 /* between the first two that undo nothing */
#define GAP_MAX  8000000

struct job {
	struct job *next;
	enum db_stmt stmt;
	bool undoes; /* again, until it returns a row */
	int64_t due_us, gap_us, until_us;
	size_t bytes;
	const char *args[]; /* as many as stmt has; then their texts */
};

struct later {
	struct db *db;        /* the thread's */
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
	*job = (struct job){ .stmt = stmt, .bytes = bytes };
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

/* Locked: waits for a change, but no longer than a pause. */
static void
wait_a_bit(struct later *later)
{
	struct timespec until;

	clock_in(PAUSE_MS, &until);
	(void)pthread_cond_clockwait(&later->more, &later->lock,
	    CLOCK_MONOTONIC, &until); /* late or early: again */
}

/* Locked: the first one that is to be done now. */
static struct job *
first_due(const struct later *later)
{
	int64_t now_us = clock_mono_us();
	struct job *job = later->first;

	while (job != NULL && job->due_us > now_us && !later->stopping)
		job = job->next;
	return job;
}

/* Waits for one, which stays where it is.  NULL: stopping, and none is left. */
static struct job *
next_job(struct later *later)
{
	struct job *job;

	pthread_mutex_lock(&later->lock);
	while ((job = first_due(later)) == NULL && !later->stopping) {
		if (later->first == NULL)
			pthread_cond_wait(&later->more, &later->lock);
		else
			wait_a_bit(later);
	}
	pthread_mutex_unlock(&later->lock);
	return job;
}

static void
remove_job(struct later *later, struct job *job)
{
	struct job **at = &later->first;

	pthread_mutex_lock(&later->lock);
	while (*at != job)
		at = &(*at)->next;
	*at = job->next;
	if (*at == NULL)
		later->last = at;
	later->bytes -= job->bytes;
	pthread_mutex_unlock(&later->lock);
	free(job);
}

/* False: stopping. */
static bool
pause_between(struct later *later)
{
	bool stopping;

	pthread_mutex_lock(&later->lock);
	if (!later->stopping)
		wait_a_bit(later);
	stopping = later->stopping;
	pthread_mutex_unlock(&later->lock);
	return !stopping;
}

/* False: there was nothing to undo so far, and it will be tried again; when
 * stopping, by who releases our keys. */
static bool
was_last_try(struct later *later, struct job *job, const struct db_rows *rows)
{
	int64_t now_us = clock_mono_us();
	bool last;

	if (!job->undoes || rows_count(rows) > 0)
		return true;
	pthread_mutex_lock(&later->lock);
	if (job->until_us == 0)
		job->until_us = now_us + LATER_UNDO_MS * INT64_C(1000);
	job->gap_us = job->gap_us == 0 ? GAP_US : job->gap_us * 2;
	if (job->gap_us > GAP_MAX)
		job->gap_us = GAP_MAX;
	job->due_us = now_us + job->gap_us;
	last = later->stopping || job->due_us > job->until_us;
	later->failed = later->failed || later->stopping;
	pthread_mutex_unlock(&later->lock);
	return last;
}

static void
work(struct later *later)
{
	struct db *db = later->db;
	struct db_rows *rows = NULL;
	struct job *job;
	bool last;
	enum err err;

	while ((job = next_job(later)) != NULL) {
		err = db_query(db, job->stmt, job->args, &rows);
		while ((err == ERR_BUSY || err == ERR_TIMEOUT) &&
		       pause_between(later))
			err = db_query(db, job->stmt, job->args, &rows);
		last = err != OK || was_last_try(later, job, rows);
		rows_free(rows);
		later->failed = later->failed || err != OK;
		if (err != OK)
			log_warn("%s, which had to wait for PostgreSQL, is not "
				 "done: %s",
			    db_statements[job->stmt].name, err_name(err));
		if (last)
			remove_job(later, job);
	}
}

static void *
run(void *arg)
{
	struct later *later = arg;
	sigset_t all;

	sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, NULL);
	work(later);
	return NULL;
}

static void
later_free(struct later *later)
{
	while (later->first != NULL)
		remove_job(later, later->first);
	pthread_cond_destroy(&later->more);
	pthread_mutex_destroy(&later->lock);
	db_free(later->db);
	free(later);
}

enum err
later_start(const struct config *config, struct later **out)
{
	struct later *later = calloc(1, sizeof(*later));
	enum err err = OK;

	if (later == NULL)
		return ERR_MEMORY;
	later->last = &later->first;
	pthread_mutex_init(&later->lock, NULL);
	pthread_cond_init(&later->more, NULL);
	later->db = db_new(&(struct db_options){ .url = config->database_url,
	    .application = "minuted later",
	    .statement_ms = config->statement_ms,
	    .lock_ms = config->lock_ms });
	if (later->db == NULL) {
		err = ERR_MEMORY;
	} else if (pthread_create(&later->thread, NULL, run, later) != 0) {
		log_error("cannot start the thread of what is done later");
		err = ERR_SYSTEM;
	}
	if (err == OK)
		*out = later;
	else
		later_free(later);
	return err;
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
	later_free(later);
	return done;
}

static enum err
add(struct later *later, enum db_stmt stmt, const char *const *args,
    bool undoes)
{
	struct job *job;
	size_t room = LATER_BYTES_MAX;
	enum err err = ERR_BUSY;

	if (later == NULL)
		return ERR_BUSY;
	job = job_new(stmt, args);
	if (job == NULL)
		return ERR_MEMORY;
	job->undoes = undoes;
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

enum err
later_do(struct later *later, enum db_stmt stmt, const char *const *args)
{
	return add(later, stmt, args, false);
}

enum err
later_undo(struct later *later, enum db_stmt stmt, const char *const *args)
{
	return add(later, stmt, args, true);
}
