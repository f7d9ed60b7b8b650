/*
 * budget.h - the counters of a budget: a subject (a user, or a key) has them
 * anew each month, UTC.
 */
#ifndef API_BUDGET_H
#define API_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/uuid.h"
#include "journal/record.h"
#include "limit/limit.h"

#define BUDGET_NAME_SIZE (LIMIT_NAME_MAX + 1)
/* No worker's slot: it holds what was spent, not reserved. */
#define BUDGET_SPENT 100000
/* A month, and more: how long its counters last. */
#define BUDGET_MONTH_MS (32 * 24 * 3600 * (int64_t)1000)

/* The first of the month of a time: as ":2026-01" and as text for SQL. */
struct budget_month {
	char suffix[16];
	char start[CLOCK_TEXT_SIZE];
};
void budget_month(int64_t wall_us, struct budget_month *out);

/* "what:<subject><suffix>" */
void budget_name(char out[BUDGET_NAME_SIZE], const char *what,
    const struct uuid *subject, const char *suffix);

/*
 * The worker in slot is dead, and row is a call that it had, with what it cost:
 * that is spent of the budget of its user, or of its key, if the worker still
 * holds something of that.  ERR_BUSY, ERR_MEMORY: see limit_inherit().
 */
enum err budget_inherit(struct limits *limits, int slot,
    const struct call_row *row, bool of_key) MUST_CHECK;

#endif /* API_BUDGET_H */
