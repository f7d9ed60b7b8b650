/*
 * test_deltas.c - lines of calls read again, and what they add to the usage.
 */
#include "journal/deltas.h"

#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "journal/fields.h"
#include "journal/record.h"

static const struct call_row row = { .user_id = { { 1 } },
	.id = { { 2 } },
	.kind = "chat.completion",
	.provider = "a\tb\\c\nd\re",
	.model = "",
	.status = "completed",
	.prompt_tokens = 3,
	.completion_tokens = -1,
	.cached_tokens = -1,
	.reasoning_tokens = -1,
	.cost_pico = -1,
	.latency_us = 1000,
	.first_token_us = -1,
	.started_us = 1769903999999999,
	.request_text = "\\N",
	.response_text = "\\011" };

static struct record *
line_of(const struct call_row *of)
{
	struct record *record = NULL;

	cr_assert_eq(record_call(of, &record), OK);
	return record;
}

Test(fields, what_a_line_says_is_what_was_put_into_it)
{
	struct record *record = line_of(&row);
	const char *values[FIELD_COUNT];

	cr_assert(fields_values(record->line, record->len, values));
	cr_expect_str_eq(values[FIELD_ID],
	    "02000000-0000-0000-0000-000000000000");
	cr_expect_null(values[FIELD_KEY]);
	cr_expect_str_eq(values[FIELD_PROVIDER], "a\tb\\c\nd\re");
	cr_expect_str_eq(values[FIELD_MODEL], "");
	cr_expect_str_eq(values[FIELD_STATUS], "completed");
	cr_expect_str_eq(values[FIELD_PROMPT_TOKENS], "3");
	cr_expect_null(values[FIELD_COST]);
	cr_expect_str_eq(values[FIELD_REQUEST], "\\N");
	cr_expect_str_eq(values[FIELD_RESPONSE], "\\011");
	record_free(record);
}

Test(fields, a_line_of_another_shape_is_refused)
{
	static const char few[] = "a\tb\n";
	struct record *record = line_of(&row);
	struct field fields[FIELD_COUNT];

	cr_expect_not(fields_split("", 0, fields));
	cr_expect_not(fields_split(few, sizeof(few) - 1, fields));
	cr_expect_not(fields_split(record->line, record->len - 1, fields));
	*strchr(record->line, '\t') = ' ';
	cr_expect_not(fields_split(record->line, record->len, fields));
	record_free(record);
	record = line_of(&row);
	*strstr(record->line, "chat.completion") = '\t';
	cr_expect_not(fields_split(record->line, record->len, fields));
	record_free(record);
}

/* Counts a call of each row; the printed lines, the caller's. */
static char *
deltas_of(const struct call_row *rows, size_t count)
{
	struct record *records[64];
	struct deltas deltas;
	struct buf out;
	char *text = NULL;

	deltas_init(&deltas);
	buf_init(&out, 1 << 20);
	for (size_t i = 0; i < count; i++) {
		struct field fields[FIELD_COUNT];

		records[i] = line_of(&rows[i]);
		cr_assert(fields_split(records[i]->line, records[i]->len,
		    fields));
		cr_assert_eq(deltas_add(&deltas, fields), OK);
	}
	deltas_print(&deltas, &out);
	if (deltas.count > 0)
		cr_assert_eq(buf_take(&out, &text, NULL), OK);
	deltas_fini(&deltas);
	while (count > 0)
		record_free(records[--count]);
	return text;
}

#define USER  "01000000-0000-0000-0000-000000000000\t"
#define HOUR  "2026-01-31T23:00:00Z\t"
#define NOKEY "00000000-0000-0000-0000-000000000000\t"
#define GROUP USER HOUR NOKEY "chat.completion\ta\\011b\\\\c\\012d\\015e\t\t\t"

Test(deltas, calls_of_a_group_are_one_row)
{
	struct call_row rows[3] = { row, row, row };
	char *text;

	rows[1].status = "failed";
	rows[1].cost_pico = 7;
	rows[1].latency_us = 120000000;
	rows[2].status = "cancelled";
	rows[2].prompt_tokens = -1;
	rows[2].completion_tokens = 5;
	rows[2].latency_us = 999;
	text = deltas_of(rows, 3);
	cr_expect_str_eq(text,
	    GROUP "3\t2\t6\t5\t3\t5\t7\t2\t120001999\t"
		  "{1,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1}\n");
	free(text);
}

Test(deltas, a_running_call_is_not_counted)
{
	struct call_row running = row;

	running.status = "running";
	cr_expect_null(deltas_of(&running, 1));
}

Test(deltas, every_part_of_the_group_tells_apart)
{
	struct call_row rows[8] = { row, row, row, row, row, row, row, row };
	char *text;
	size_t lines = 0;

	rows[1].user_id.bytes[0] = 9;
	rows[2].started_us++; /* the next hour */
	rows[3].key_id = "00000000-0000-0000-0000-000000000001";
	rows[4].kind = "ingest";
	rows[5].provider = NULL;
	rows[6].model = "m";
	rows[7].environment = "e";
	text = deltas_of(rows, 8);
	for (const char *at = text; *at != '\0'; at++)
		lines += *at == '\n';
	cr_expect_eq(lines, 8);
	free(text);
}

Test(deltas, no_sum_overflows)
{
	struct call_row rows[2] = { row, row };
	char *text;

	rows[0].prompt_tokens = INT64_MAX;
	text = deltas_of(rows, 2);
	cr_expect_str_eq(text,
	    GROUP "1\t0\t9223372036854775807\t0\t0\t0\t0\t1\t1000\t"
		  "{0,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0}\n" GROUP
		  "1\t0\t3\t0\t0\t0\t0\t1\t1000\t"
		  "{0,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0}\n");
	free(text);
}
