/*
 * restarts.c - when a worker that died is replaced.
 */
#include "process/restarts.h"

#define COST_US ((int64_t)1000000 / RESTARTS_PER_SECOND)
#define FULL_US (RESTARTS_BURST * COST_US)
#define CALM_US (2 * (int64_t)RESTARTS_MAX_US) /* since the last death */

int64_t
restarts_pause_us(struct restarts *restarts, int64_t now_us,
    bool could_not_start)
{
	int64_t since_us = now_us - restarts->counted_us;
	bool first = restarts->counted_us == 0;

	restarts->counted_us = now_us;
	restarts->credit_us += since_us;
	if (first || restarts->credit_us > FULL_US)
		restarts->credit_us = FULL_US;
	if (could_not_start ? since_us > CALM_US
			    : restarts->credit_us >= FULL_US / 2)
		restarts->pause_us = 0;
	if (restarts->pause_us == 0 && restarts->credit_us >= COST_US &&
	    !could_not_start) {
		restarts->credit_us -= COST_US;
		return 0;
	}
	restarts->pause_us =
	    restarts->pause_us == 0 ? RESTARTS_MIN_US : restarts->pause_us * 2;
	if (restarts->pause_us > RESTARTS_MAX_US)
		restarts->pause_us = RESTARTS_MAX_US;
	return restarts->pause_us;
}

void
restarts_forget(struct restarts *restarts)
{
	restarts->pause_us = 0;
}
