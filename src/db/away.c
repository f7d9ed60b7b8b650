/*
 * away.c - what this process believes about PostgreSQL: there, or away.
 *
 * The verdict is of the process by nature, so it lives here as the one static
 * of the layer.  A thread that may try takes the turn by moving next_us past
 * the longest that a try can take.
 */
#include "db/away.h"

#include <stdatomic.h>

#include "base/rand.h"

#define STEP_FIRST_MS 100
#define STEP_MAX_MS   800 /* noticed within a second, with the try itself */
#define TURN_US       (5 * 1000000LL) /* a try gives up before that */

static struct {
	atomic_llong next_us;   /* next try; 0: PostgreSQL is there */
	atomic_llong failed_us; /* when the last try failed */
	atomic_llong step_ms;   /* wait after the last failure */
} away;

bool
away_may_try(int64_t now_us)
{
	long long next_us = atomic_load(&away.next_us);

	if (next_us == 0)
		return true;
	if (now_us < next_us)
		return false;
	return atomic_compare_exchange_strong(&away.next_us, &next_us,
	    now_us + TURN_US);
}

/* Half of step and up to as much again, so that processes spread. */
static int64_t
with_jitter(int64_t step_ms)
{
	uint16_t dice = UINT16_MAX;

	if (rand_bytes(&dice, sizeof(dice)) != OK)
		return step_ms;
	return step_ms / 2 + step_ms / 2 * dice / UINT16_MAX;
}

bool
away_failed(int64_t asked_us, int64_t now_us)
{
	long long failed_us = atomic_load(&away.failed_us);
	int64_t step_ms;

	/* Several that tried together are one failure. */
	if (failed_us >= asked_us ||
	    !atomic_compare_exchange_strong(&away.failed_us, &failed_us,
		now_us))
		return false;
	step_ms = atomic_load(&away.step_ms) * 2;
	if (step_ms > STEP_MAX_MS)
		step_ms = STEP_MAX_MS;
	if (step_ms == 0)
		step_ms = STEP_FIRST_MS;
	atomic_store(&away.step_ms, step_ms);
	atomic_store(&away.next_us, now_us + with_jitter(step_ms) * 1000);
	return step_ms == STEP_FIRST_MS;
}

bool
away_ended(void)
{
	atomic_store(&away.step_ms, 0);
	return atomic_exchange(&away.next_us, 0) != 0;
}
