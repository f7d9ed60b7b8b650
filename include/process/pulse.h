/*
 * pulse.h - whether the threads of a worker get on.
 *
 * The worker's main thread says for all of them that they live.  The relay
 * thread hangs when one round of its work does not end.  A request thread may
 * wait long for PostgreSQL; when all of them have been at the same requests for
 * longer than any statement may take, they hang.  The journal may wait for a
 * disk for as long as that takes: streams go on meanwhile, so it is not asked.
 */
#ifndef PROCESS_PULSE_H
#define PROCESS_PULSE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Since when (monotonic) a thread works at what it has; 0: it waits for more. */
struct pulse {
	atomic_llong since_us;
};

void pulse_work(struct pulse *pulse, int64_t now_us);
void pulse_wait(struct pulse *pulse);

struct pulse_worker {
	int64_t relay_since_us;      /* as of a pulse */
	const struct pulse *threads; /* of the request threads */
	size_t count;
	int64_t patience_us; /* what a request may take */
};

/* When the worker was last seen to be alive: now_us, or earlier. */
int64_t pulse_last_us(const struct pulse_worker *worker, int64_t now_us);

/*
 * Some thread below tasks ("/proc/self/task") waits for a disk: what waits for
 * that thread does not hang.
 */
bool pulse_waits_for_disk(const char *tasks);

#endif /* PROCESS_PULSE_H */
