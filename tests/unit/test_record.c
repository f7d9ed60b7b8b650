/*
 * test_record.c - rows as lines of COPY text format.
 */
#include "journal/record.h"

#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

static const struct uuid user = { { 1, 2, 3, 4, 5, 6, 0x70, 8, 0x80 } };
static const struct uuid id = { { 9, 2, 3, 4, 5, 6, 0x70, 8, 0x80, 1 } };

#define IDS                                      \
	"01020304-0506-7008-8000-000000000000\t" \
	"09020304-0506-7008-8001-000000000000\t"

static struct call_row
empty_call(void)
{
	return (struct call_row){ .user_id = user,
		.id = id,
		.kind = "ingest",
		.status = CALL_STATUS_COMPLETED,
		.prompt_tokens = -1,
		.completion_tokens = -1,
		.cached_tokens = -1,
		.reasoning_tokens = -1,
		.cost_pico = -1,
		.latency_us = -1,
		.first_token_us = -1,
		.started_us = 1000000 };
}

static struct record *
call(const struct call_row *row)
{
	struct record *record = NULL;

	cr_assert_eq(record_call(row, &record), OK);
	cr_assert_eq(record->kind, RECORD_CALL);
	cr_assert(uuid_equal(&record->id, &id));
	cr_assert(uuid_equal(&record->user_id, &user));
	cr_assert_eq(strlen(record->line), record->len);
	return record;
}

Test(record, what_is_not_known_is_null)
{
	struct call_row row = empty_call();
	struct record *record;

	row.key_id = "";
	record = call(&row);
	cr_expect_str_eq(record->line,
	    IDS "\\N\tingest\t\\N\t\\N\t\\N\tcompleted\tf\t\\N\t\\N\t\\N\t\\N\t"
		"f\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N"
		"\t1970-01-01T00:00:01.000000Z\t\\N\t\\N\t\\N\n");
	record_free(record);
}

Test(record, every_column_is_in_its_place)
{
	struct call_row row = {
		.user_id = user,
		.id = id,
		.key_id = "key",
		.kind = "kind",
		.provider = "provider",
		.model = "model",
		.upstream_model = "upstream",
		.status = "failed",
		.prompt_tokens = 1,
		.completion_tokens = 2,
		.cached_tokens = 3,
		.reasoning_tokens = 4,
		.estimated = true,
		.cost_pico = 5,
		.latency_us = 6,
		.first_token_us = 7,
		.http_status = 8,
		.started_us = 9,
		.finished_us = 10,
		.error = "error",
		.end_user = "end_user",
		.environment = "environment",
		.source = "source",
		.chat_id = "chat",
		.session_id = "session",
		.request_id = "request_id",
		.metadata = "{}",
		.request_text = "request",
		.response_text = "response",
		.stream = true,
	};
	struct record *record = call(&row);

	cr_expect_str_eq(record->line,
	    IDS "key\tkind\tprovider\tmodel\tupstream\tfailed\tt\t1\t2\t3\t4\tt"
		"\t5\t6\t7\t8\terror\tend_user\tenvironment\tsource\tchat\t"
		"session\trequest_id\t{}\t1970-01-01T00:00:00.000009Z\t"
		"1970-01-01T00:00:00.000010Z\trequest\tresponse\n");
	record_free(record);
}

Test(record, text_can_hold_anything)
{
	struct event_row row = { .user_id = user,
		.id = id,
		.subject = "s",
		.level = "info",
		.message = "a\tb\nc\rd\\N\\.",
		.metadata = "\\N",
		.logged_us = 1 };
	struct record *record = NULL;

	cr_assert_eq(record_event(&row, &record), OK);
	cr_expect_eq(record->kind, RECORD_EVENT);
	cr_expect_str_eq(record->line,
	    IDS "\\N\ts\tinfo\ta\\011b\\012c\\015d\\\\N\\\\.\t\\\\N\t"
		"1970-01-01T00:00:00.000001Z\n");
	record_free(record);
}

Test(record, bytes_that_are_not_utf8_are_replaced)
{
	struct call_row row = empty_call();
	struct record *record;

	row.response_text = "caf\xc3\xa9 \xff\xfe caf\xc3"; /* cut */
	record = call(&row);
	cr_expect_not_null(strstr(record->line,
	    "\tcaf\xc3\xa9 \xef\xbf\xbd\xef\xbf\xbd caf\xef\xbf\xbd\n"));
	record_free(record);
}

Test(record, one_over_the_ceiling_is_refused)
{
	struct call_row row = empty_call();
	struct record *record = NULL;
	char *huge = malloc(RECORD_LINE_MAX + 1);

	cr_assert_not_null(huge);
	memset(huge, 'x', RECORD_LINE_MAX);
	huge[RECORD_LINE_MAX] = '\0';
	row.request_text = huge;
	cr_expect_eq(record_call(&row, &record), ERR_TOO_LARGE);
	cr_expect_null(record);
	free(huge);
}

Test(record, nothing_can_be_freed)
{
	record_free(NULL);
}
