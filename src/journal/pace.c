/*
 * pace.c - what batches take.
 */
#include "journal/pace.h"

void
pace_note(struct pace *pace, int64_t took_us)
{
	atomic_store(&pace->batch_us,
	    (atomic_load(&pace->batch_us) + took_us) / 2);
}

int64_t
pace_wait_us(const struct pace *pace, int64_t waiting, bool in_hand)
{
	if (waiting == 0 && !in_hand)
		return 0;
	return atomic_load(&pace->batch_us) * (1 + waiting + in_hand);
}
