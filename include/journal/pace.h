/*
 * pace.h - how long a record that comes now will wait for its commit, judged by
 * what batches took lately.
 */
#ifndef JOURNAL_PACE_H
#define JOURNAL_PACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Zeroed: nothing is known.  One thread notes, any may ask. */
struct pace {
	atomic_llong batch_us; /* half of what it was, half of the last one */
};

/* A batch took so many microseconds. */
void pace_note(struct pace *pace, int64_t took_us);

/*
 * Microseconds behind so many batches that wait, and one in hand, which may
 * take as long again.  Behind nothing it is 0, however long the last one took:
 * how else would it be known that it goes faster now?
 */
int64_t pace_wait_us(const struct pace *pace, int64_t waiting, bool in_hand);

#endif /* JOURNAL_PACE_H */
