/*
 * crowd.c - how many threads of a worker wait for a PostgreSQL that is slow.
 */
#include "db/crowd.h"

void
crowd_init(struct crowd *crowd, int threads)
{
	int left_out = threads / 4;

	if (left_out == 0 && threads > 1)
		left_out = 1;
	crowd->most = threads - left_out;
	atomic_init(&crowd->inside, 0);
	atomic_init(&crowd->late_us, 0);
}

static bool
is_slow(const struct crowd *crowd, int64_t now_us)
{
	int64_t late_us = atomic_load(&crowd->late_us);

	return late_us != 0 && now_us - late_us < CROWD_MEMORY_US;
}

bool
crowd_enter(struct crowd *crowd, int64_t now_us, bool must)
{
	int inside = atomic_fetch_add(&crowd->inside, 1) + 1;

	if (must || inside <= crowd->most || !is_slow(crowd, now_us))
		return true;
	atomic_fetch_sub(&crowd->inside, 1);
	return false;
}

void
crowd_leave(struct crowd *crowd, int64_t entered_us, int64_t now_us)
{
	atomic_fetch_sub(&crowd->inside, 1);
	if (now_us - entered_us > CROWD_LATE_US)
		atomic_store(&crowd->late_us, now_us);
}
