/*
 * shed.c - which requests a worker has no time for.
 */
#include "process/shed.h"

#include "base/clock.h"

void
shed_wait(struct shed *shed)
{
	atomic_fetch_add_explicit(&shed->idle, 1, memory_order_relaxed);
}

void
shed_work(struct shed *shed)
{
	atomic_fetch_sub_explicit(&shed->idle, 1, memory_order_relaxed);
}

/*
 * It waited, and nobody else has time either.  One that did not says little:
 * connections are not served in strict order, and a thread that is counted as
 * idle may be on its way to a request.  Many in a row mean that there is no
 * queue.
 */
static bool
has_waited(struct shed *shed, int64_t age_us)
{
	if (age_us >= SHED_FRESH_US &&
	    atomic_load_explicit(&shed->idle, memory_order_relaxed) == 0) {
		atomic_store_explicit(&shed->fresh, 0, memory_order_relaxed);
		return true;
	}
	if (atomic_load_explicit(&shed->standing_us, memory_order_relaxed) == 0)
		return false;
	if (atomic_fetch_add(&shed->fresh, 1) + 1 >= SHED_FRESH_RUN)
		atomic_store(&shed->standing_us, 0);
	return false;
}

bool
shed_refuses(struct shed *shed, const struct http_request *req)
{
	int64_t age_us = clock_wall_us() - req->arrived_us;
	int64_t now_us, since_us, last_us;

	if (shed->timeout_us == 0 || req->arrived_us == 0 ||
	    !has_waited(shed, age_us))
		return false;
	now_us = clock_mono_us();
	since_us = atomic_load(&shed->standing_us);
	last_us = atomic_exchange(&shed->last_us, now_us);
	if (since_us == 0 || now_us - last_us > SHED_STANDING_US) {
		atomic_store(&shed->standing_us, now_us);
		return false;
	}
	return now_us - since_us > SHED_STANDING_US &&
	       age_us > shed->timeout_us;
}
