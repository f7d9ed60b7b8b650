/*
 * waiting.h - connections whose request nobody has time to read, oldest first.
 *
 * While all request threads of a worker are busy and too much waits, the thread
 * that refuses takes what is ready out of epoll, so that it knows since when
 * each waits; the others take the oldest before they look at epoll.
 */
#ifndef PROCESS_WAITING_H
#define PROCESS_WAITING_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct link; /* a claimed one: see connections.h */

struct waiting {
	pthread_mutex_t lock; /* guards ring and first */
	struct waiting_place *ring;
	size_t most, first;
	atomic_size_t count;
};

/* For so many at most, at least one.  ERR_MEMORY; freed with waiting_free(),
 * which is also safe on one that is all zero. */
enum err waiting_init(struct waiting *waiting, size_t most) MUST_CHECK;
void waiting_free(struct waiting *waiting);

/* At now_us (monotonic), not before those that are there.  False: it is full. */
bool waiting_put(struct waiting *waiting, struct link *link,
    int64_t now_us) MUST_CHECK;

/* The oldest when it came at until_us or before.  NULL: there is none. */
struct link *waiting_take(struct waiting *waiting, int64_t until_us);

bool waiting_any(const struct waiting *waiting);

/* Since when the oldest waits; INT64_MAX: there is none. */
int64_t waiting_since_us(struct waiting *waiting);

#endif /* PROCESS_WAITING_H */
