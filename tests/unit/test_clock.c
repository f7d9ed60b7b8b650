/*
 * test_clock.c - the time, and how it is written.
 */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

static int64_t
parsed(const char *text)
{
	int64_t us = -1;

	cr_assert_eq(clock_parse(text, &us), OK, "%s", text);
	return us;
}

Test(clock, clocks_go_forward)
{
	int64_t mono = clock_mono_us();
	int64_t wall = clock_wall_us();

	cr_expect_geq(clock_mono_us(), mono);
	cr_expect_leq(wall / 1000000 - (int64_t)time(NULL), 1);
	cr_expect_gt(wall, INT64_C(1700000000000000));
}

Test(clock, times_are_written_in_iso_8601)
{
	char text[CLOCK_TEXT_SIZE];

	clock_text(0, text);
	cr_expect_str_eq(text, "1970-01-01T00:00:00.000000Z");
	clock_text(INT64_C(1709251199123456), text);
	cr_expect_str_eq(text, "2024-02-29T23:59:59.123456Z");
	clock_text(-1, text);
	cr_expect_str_eq(text, "1969-12-31T23:59:59.999999Z");
	clock_text(INT64_MAX, text);
	cr_expect_str_eq(text, "9999-12-31T23:59:59.999999Z");
	clock_text(INT64_MIN, text);
	cr_expect_str_eq(text, "0000-01-01T00:00:00.000000Z");
}

Test(clock, clients_get_milliseconds_that_are_over)
{
	char text[CLOCK_TEXT_SIZE];

	clock_text_ms(INT64_C(1709251199999999), text);
	cr_expect_str_eq(text, "2024-02-29T23:59:59.999Z");
	clock_text_ms(0, text);
	cr_expect_str_eq(text, "1970-01-01T00:00:00.000Z");
}

Test(clock, every_day_of_ten_millennia_agrees_with_libc)
{
	char ours[CLOCK_TEXT_SIZE];
	char theirs[64];
	struct tm tm;
	time_t at;

	for (int64_t day = -719528; day < 2932897; day += 1) {
		at = (time_t)(day * 86400 + 3661);
		clock_text((int64_t)at * 1000000 + 7, ours);
		if (day % 5 != 0 && day > 0)
			continue; /* libc's part is the slow one */
		cr_assert_not_null(gmtime_r(&at, &tm));
		(void)strftime(theirs, sizeof(theirs), "-%m-%dT%H:%M:%S", &tm);
		cr_assert_eq(strncmp(ours + 4, theirs, 15), 0, "%s %s", ours,
		    theirs);
		cr_assert_eq(parsed(ours), (int64_t)at * 1000000 + 7, "%s",
		    ours);
	}
}

Test(clock, rfc_3339_is_read)
{
	int64_t noon = INT64_C(1769860800000000);

	cr_expect_eq(parsed("2026-01-31"), noon - INT64_C(43200000000));
	cr_expect_eq(parsed("2026-01-31T12:00:00Z"), noon);
	cr_expect_eq(parsed("2026-01-31t12:00:00z"), noon);
	cr_expect_eq(parsed("2026-01-31T12:00:00.5Z"), noon + 500000);
	cr_expect_eq(parsed("2026-01-31T12:00:00.1234567899Z"), noon + 123456);
	cr_expect_eq(parsed("2026-01-31T14:30:00+02:30"), noon);
	cr_expect_eq(parsed("2026-01-31T07:00:00-05:00"), noon);
	cr_expect_eq(parsed("2016-12-31T23:59:60Z"),
	    parsed("2017-01-01T00:00:00Z"));
	cr_expect_eq(parsed("0000-01-01"), INT64_C(-62167219200000000));
	cr_expect_eq(parsed("2000-02-29"), parsed("2000-03-01") - 86400000000);
}

Test(clock, anything_else_is_refused)
{
	static const char *const bad[] = { "", "2026", "2026-1-31",
		"2026-13-01", "2026-00-01", "2026-02-29", "1900-02-29",
		"2026-04-31", "2026-01-00", "2026-01-31 12:00:00Z",
		"2026-01-31T", "2026-01-31T12:00Z", "2026-01-31T12:00:00",
		"2026-01-31T24:00:00Z", "2026-01-31T12:60:00Z",
		"2026-01-31T12:00:60Z", "2026-01-31T12:59:61Z",
		"2026-01-31T12:00:00.Z", "2026-01-31T12:00:00+2:30",
		"2026-01-31T12:00:00+24:00", "2026-01-31T12:00:00+02:60",
		"2026-01-31T12:00:00Zx", "2026-01-31x", " 2026-01-31",
		"+2026-01-31", "2026-01-31T12:00:00+0230", "now" };
	int64_t us = 42;

	cr_expect_eq(clock_parse(NULL, &us), ERR_INPUT);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(clock_parse(bad[i], &us), ERR_INPUT, "%s", bad[i]);
	cr_expect_eq(us, 42, "the result is untouched");
}

Test(clock, durations_have_units)
{
	static const struct {
		const char *text;
		int64_t ms;
	} good[] = { { "15m", 900000 }, { "7d", 604800000 }, { "90s", 90000 },
		{ "12h", 43200000 }, { "250ms", 250 }, { "30", 30000 },
		{ "0", 0 }, { "0ms", 0 }, { "007s", 7000 },
		{ "9223372036854775807ms", INT64_MAX } };
	int64_t ms;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		cr_assert_eq(clock_parse_duration(good[i].text, &ms), OK);
		cr_expect_eq(ms, good[i].ms, "%s: %" PRId64, good[i].text, ms);
	}
}

Test(clock, other_durations_are_refused)
{
	static const char *const bad[] = { "", "m", "-1s", "+1s", " 1s", "1 s",
		"1s ", "1.5h", "1w", "1M", "1mss", "1h30m", "0x10", "1e3",
		"9223372036854775808ms", "9223372036854775807",
		"92233720368547758070", "106751991168d" };
	int64_t ms = 42;

	cr_expect_eq(clock_parse_duration(NULL, &ms), ERR_INPUT);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(clock_parse_duration(bad[i], &ms), ERR_INPUT, "%s",
		    bad[i]);
	cr_expect_eq(ms, 42, "the result is untouched");
}
