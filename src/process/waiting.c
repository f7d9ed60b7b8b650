/*
 * waiting.c - connections whose request nobody has time to read.
 */
#include "process/waiting.h"

#include <stdlib.h>

struct waiting_place {
	struct link *link;
	int64_t since_us; /* monotonic */
};

enum err
waiting_init(struct waiting *waiting, size_t most)
{
	waiting->ring = calloc(most, sizeof(*waiting->ring));
	if (waiting->ring == NULL)
		return ERR_MEMORY;
	waiting->most = most;
	waiting->first = 0;
	atomic_init(&waiting->count, 0);
	pthread_mutex_init(&waiting->lock, NULL);
	return OK;
}

void
waiting_free(struct waiting *waiting)
{
	if (waiting->ring == NULL)
		return;
	free(waiting->ring);
	waiting->ring = NULL;
	pthread_mutex_destroy(&waiting->lock);
}

bool
waiting_put(struct waiting *waiting, struct link *link, int64_t now_us)
{
	bool fits;

	pthread_mutex_lock(&waiting->lock);
	fits = atomic_load(&waiting->count) < waiting->most;
	if (fits) {
		size_t at = waiting->first + atomic_load(&waiting->count);

		waiting->ring[at % waiting->most] =
		    (struct waiting_place){ link, now_us };
		atomic_fetch_add(&waiting->count, 1);
	}
	pthread_mutex_unlock(&waiting->lock);
	return fits;
}

struct link *
waiting_take(struct waiting *waiting, int64_t until_us)
{
	struct link *link = NULL;

	if (!waiting_any(waiting))
		return NULL; /* nearly always */
	pthread_mutex_lock(&waiting->lock);
	if (waiting_any(waiting) &&
	    waiting->ring[waiting->first].since_us <= until_us) {
		link = waiting->ring[waiting->first].link;
		waiting->first = (waiting->first + 1) % waiting->most;
		atomic_fetch_sub(&waiting->count, 1);
	}
	pthread_mutex_unlock(&waiting->lock);
	return link;
}

bool
waiting_any(const struct waiting *waiting)
{
	return atomic_load(&waiting->count) > 0;
}

int64_t
waiting_since_us(struct waiting *waiting)
{
	int64_t since_us = INT64_MAX;

	pthread_mutex_lock(&waiting->lock);
	if (waiting_any(waiting))
		since_us = waiting->ring[waiting->first].since_us;
	pthread_mutex_unlock(&waiting->lock);
	return since_us;
}
