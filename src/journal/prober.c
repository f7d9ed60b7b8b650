/*
 * prober.c - the thread that tries the spool's disk before it is needed.
 */
#include "journal/prober.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#define AGAIN_S 1 /* while the disk fails */

struct prober {
	struct spool *spool;
	pthread_t thread;
	sem_t wake;
	atomic_bool asked; /* and not begun yet */
	atomic_bool stop;
};

void
prober_ask(struct prober *prober)
{
	bool known = !spool_is_failing(prober->spool) &&
		     spool_is_proven(prober->spool, SPOOL_SURE_MS / 2);

	if (!known && !atomic_load(&prober->asked) &&
	    !atomic_exchange(&prober->asked, true))
		(void)sem_post(&prober->wake); /* at most one is pending */
}

/* Until asked, or a failing disk is to be tried again. */
static void
rest(struct prober *prober)
{
	struct timespec until;

	if (!spool_is_failing(prober->spool)) {
		(void)sem_wait(&prober->wake); /* early does no harm */
		return;
	}
	(void)clock_gettime(CLOCK_MONOTONIC, &until); /* cannot fail */
	until.tv_sec += AGAIN_S;
	(void)sem_clockwait(&prober->wake, CLOCK_MONOTONIC, &until);
}

static void *
run(void *arg)
{
	struct prober *prober = arg;

	while (!atomic_load(&prober->stop)) {
		rest(prober);
		atomic_store(&prober->asked, false);
		if (!atomic_load(&prober->stop))
			(void)!spool_probe(prober->spool); /* it keeps that */
	}
	return NULL;
}

enum err
prober_start(struct spool *spool, struct prober **out)
{
	struct prober *prober = calloc(1, sizeof(*prober));

	if (prober == NULL)
		return ERR_MEMORY;
	prober->spool = spool;
	(void)sem_init(&prober->wake, 0, 0); /* cannot fail so */
	if (pthread_create(&prober->thread, NULL, run, prober) != 0) {
		(void)sem_destroy(&prober->wake);
		free(prober);
		return ERR_SYSTEM;
	}
	*out = prober;
	return OK;
}

void
prober_stop(struct prober *prober)
{
	if (prober == NULL)
		return;
	atomic_store(&prober->stop, true);
	(void)sem_post(&prober->wake);            /* far from its ceiling */
	(void)pthread_join(prober->thread, NULL); /* it was created */
	(void)sem_destroy(&prober->wake);
	free(prober);
}
