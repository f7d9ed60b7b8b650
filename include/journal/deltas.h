/*
 * deltas.h - what a batch of calls adds to the usage: rows for
 * minuted.usage_deltas, as calls.sql counts them.
 */
#ifndef JOURNAL_DELTAS_H
#define JOURNAL_DELTAS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "journal/fields.h"

#define DELTAS_BUCKETS 25

/* What DELTAS_COLUMNS name, in their order. */
enum delta_sum {
	SUM_CALLS,
	SUM_FAILED,
	SUM_PROMPT,
	SUM_COMPLETION,
	SUM_UNCOMPLETED_PROMPT,
	SUM_UNCOMPLETED_COMPLETION,
	SUM_COST,
	SUM_COST_UNKNOWN,
	SUM_LATENCY,
	SUM_COUNT
};

struct delta {
	/* of the first call of the group; borrowed from its line */
	struct field user, hour, key, kind, provider, model, environment;
	int64_t sums[SUM_COUNT];
	int64_t buckets[DELTAS_BUCKETS]; /* calls by latency */
};

struct deltas {
	struct delta *items;
	size_t count, cap;
};

/* The columns of the lines that deltas_print() writes. */
#define DELTAS_COLUMNS                                                       \
	"user_id, hour, key_id, kind, provider, model, environment, calls, " \
	"failed, prompt_tokens, completion_tokens, "                         \
	"uncompleted_prompt_tokens, uncompleted_completion_tokens, "         \
	"cost_pico, cost_unknown, latency_us, latency_counts"

void deltas_init(struct deltas *deltas);
void deltas_fini(struct deltas *deltas);

/* Counts a call unless it is running.  Its line stays until the end of
 * deltas.  ERR_MEMORY; ERR_INPUT for a call that no sum can take. */
enum err deltas_add(struct deltas *deltas,
    const struct field fields[FIELD_COUNT]) MUST_CHECK;

/* Appends lines of COPY's text format. */
void deltas_print(const struct deltas *deltas, struct buf *out);

#endif /* JOURNAL_DELTAS_H */
