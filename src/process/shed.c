/*
 * shed.c - which requests a worker has no time for.
 */
#include "process/shed.h"

void
shed_wait(struct shed *shed)
{
	/* in order with what it does next: it looks at who waits */
	atomic_fetch_add(&shed->idle, 1);
}

void
shed_work(struct shed *shed)
{
	atomic_fetch_sub_explicit(&shed->idle, 1, memory_order_relaxed);
}

bool
shed_has_idle(const struct shed *shed)
{
	return atomic_load(&shed->idle) > 0;
}

bool
shed_is_overloaded(const struct shed *shed)
{
	return atomic_load(&shed->overloaded);
}

static void
begin(struct shed *shed, int64_t since_us)
{
	atomic_store(&shed->overloaded, false);
	atomic_store(&shed->standing_us, since_us);
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
		begin(shed, 0);
	return false;
}

static bool
stands(struct shed *shed, int64_t now_us)
{
	int64_t since_us = atomic_load(&shed->standing_us);
	int64_t last_us = atomic_exchange(&shed->last_us, now_us);

	if (since_us != 0 && now_us - last_us <= SHED_STANDING_US)
		return now_us - since_us > SHED_STANDING_US;
	begin(shed, now_us);
	return false;
}

void
shed_refused(struct shed *shed, int64_t now_us)
{
	(void)stands(shed, now_us);
}

static bool
is_too_much(const struct shed *shed)
{
	return shed->waiting(shed->arg, shed->queue_max + 1) > shed->queue_max;
}

bool
shed_look(struct shed *shed, int64_t now_us)
{
	if (shed_is_overloaded(shed)) {
		if (now_us - atomic_load(&shed->last_us) > SHED_STANDING_US)
			begin(shed, 0); /* nobody came any more */
		return shed_is_overloaded(shed);
	}
	if (shed->timeout_us == 0 || shed_has_idle(shed) ||
	    !is_too_much(shed) || !stands(shed, now_us))
		return false;
	atomic_store(&shed->overloaded, true);
	return true;
}

/* While it stands, what was too long stays so: it is short because of those
 * that are refused. */
static bool
is_too_long(struct shed *shed, int64_t now_us)
{
	long long counted_us = atomic_load(&shed->counted_us);

	if (atomic_load(&shed->overloaded))
		return true;
	if (now_us - counted_us < SHED_COUNT_US ||
	    !atomic_compare_exchange_strong(&shed->counted_us, &counted_us,
		now_us) ||
	    !is_too_much(shed))
		return false;
	atomic_store(&shed->overloaded, true);
	return true;
}

bool
shed_refuses(struct shed *shed, int64_t now_us, int64_t age_us)
{
	if (shed->timeout_us == 0 || !has_waited(shed, age_us))
		return false;
	if (age_us > SHED_CEILING_US)
		return true;
	return stands(shed, now_us) && age_us > shed->timeout_us &&
	       is_too_long(shed, now_us);
}
