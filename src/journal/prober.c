/*
 * prober.c - the thread that tries the spool's disk before it is needed.
 */
#include "journal/prober.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/clock.h"

#define AGAIN_MS 1000 /* the slot is looked at, and a failing disk tried */

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

/* Until asked, or it is time. */
static void
rest(struct prober *prober)
{
	struct timespec until;

	clock_in(AGAIN_MS, &until);
	/* early does no harm */
	(void)sem_clockwait(&prober->wake, CLOCK_MONOTONIC, &until);
}

static void *
run(void *arg)
{
	struct prober *prober = arg;

	while (!atomic_load(&prober->stop)) {
		struct spool *spool = prober->spool;
		bool asked;

		rest(prober);
		asked = atomic_exchange(&prober->asked, false);
		if (atomic_load(&prober->stop))
			break;
		if (asked || spool_is_failing(spool))
			(void)!spool_probe(spool); /* it keeps that */
		else
			(void)!spool_look(spool);
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
