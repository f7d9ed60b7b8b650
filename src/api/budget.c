/*
 * budget.c - the counters of a budget.
 */
#include "api/budget.h"

#include <string.h>

#include "base/buf.h"

void
budget_month(int64_t wall_us, struct budget_month *out)
{
	char text[CLOCK_TEXT_SIZE];

	clock_text(wall_us, text);
	out->suffix[0] = ':';
	memcpy(out->suffix + 1, text, 7);
	out->suffix[8] = '\0';
	memcpy(out->start, text, 8);
	memcpy(out->start + 8, "01T00:00:00Z", 13);
}

void
budget_name(char out[BUDGET_NAME_SIZE], const char *what,
    const struct uuid *subject, const char *suffix)
{
	char text[UUID_TEXT_SIZE];
	struct buf buf;

	uuid_text(subject, text);
	buf_init(&buf, BUDGET_NAME_SIZE);
	buf_addf(&buf, "%s:%s%s", what, text, suffix);
	memcpy(out, buf_str(&buf), buf.len + 1);
	buf_fini(&buf);
}

enum err
budget_inherit(struct limits *limits, int slot, const struct call_row *row,
    bool of_key)
{
	struct uuid subject = row->user_id;
	char name[BUDGET_NAME_SIZE];
	struct budget_month month;

	if (row->cost_pico <= 0)
		return OK;
	if (of_key &&
	    (row->key_id == NULL || uuid_parse(row->key_id, &subject) != OK))
		return OK;
	budget_month(row->started_us, &month);
	budget_name(name, "budget", &subject, month.suffix);
	return limit_inherit(limits, &(struct limit_move){ .name = name,
					 .owner = slot,
					 .to = BUDGET_SPENT,
					 .amount = row->cost_pico,
					 .lasts_ms = BUDGET_MONTH_MS });
}
