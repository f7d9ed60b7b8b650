/*
 * restarts.h - when a worker that died is replaced: at once, or in a crash loop
 * with growing pauses.
 */
#ifndef PROCESS_RESTARTS_H
#define PROCESS_RESTARTS_H

#include <stdbool.h>
#include <stdint.h>

/* Deaths that are answered by a start at once: so many at a time, and so many
 * a second for long.  More is a crash loop, and starts wait. */
#define RESTARTS_BURST      40
#define RESTARTS_PER_SECOND 8
#define RESTARTS_MIN_US     100000
#define RESTARTS_MAX_US     5000000

/*
 * A token bucket in units of time: a restart costs 1 s / RESTARTS_PER_SECOND,
 * credit grows with the clock up to RESTARTS_BURST restarts.  All zero, it is
 * full.
 */
struct restarts {
	int64_t credit_us;
	int64_t counted_us; /* when credit was last counted */
	int64_t pause_us;   /* 0: no crash loop */
};

/*
 * A worker died at now_us; could_not_start: before it served.  How long to wait
 * before the next start; 0: not at all.  Once the credit was used up, half of
 * it has to be there again before restarts are immediate.  One that cannot
 * start is never replaced at once.
 */
int64_t restarts_pause_us(struct restarts *restarts, int64_t now_us,
    bool could_not_start);

/* What died had other reasons: new settings. */
void restarts_forget(struct restarts *restarts);

#endif /* PROCESS_RESTARTS_H */
