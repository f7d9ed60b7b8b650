/*
 * clock.c - the time, and how it is written.
 *
 * The calendar is computed here: gmtime_r() takes libc's time zone lock.
 */
#include "base/clock.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

#define SECOND_US   INT64_C(1000000)
#define DAY_SECONDS INT64_C(86400)
#define ERA_DAYS    INT64_C(146097)                         /* of 400 years */
#define WALL_MIN    (INT64_C(-62167219200) * SECOND_US)     /* year 0 */
#define WALL_MAX    (INT64_C(253402300800) * SECOND_US - 1) /* year 9999 */

static int64_t
now_us(clockid_t which)
{
	struct timespec now;

	(void)clock_gettime(which, &now); /* cannot fail for these clocks */
	return (int64_t)now.tv_sec * SECOND_US + now.tv_nsec / 1000;
}

int64_t
clock_mono_us(void)
{
	return now_us(CLOCK_MONOTONIC);
}

int64_t
clock_wall_us(void)
{
	return now_us(CLOCK_REALTIME);
}

void
clock_in(int64_t ms, struct timespec *out)
{
	int64_t then_us = clock_mono_us() + ms * 1000;

	out->tv_sec = (time_t)(then_us / SECOND_US);
	out->tv_nsec = (long)(then_us % SECOND_US) * 1000;
}

/* Days since 1970 of a date; years begin in March, so that 29 February is the
 * last day of one. */
static int64_t
days_of(int64_t year, int64_t month, int64_t day)
{
	int64_t from_march = (month + 9) % 12;
	int64_t in_era;

	year += 400 - (month <= 2); /* keeps year 0 positive */
	in_era = year % 400;
	return year / 400 * ERA_DAYS + in_era * 365 + in_era / 4 -
	       in_era / 100 + (from_march * 153 + 2) / 5 + day - 1 - 719468 -
	       ERA_DAYS;
}

struct date {
	int64_t year;
	int64_t month;
	int64_t day;
};

static struct date
date_of(int64_t days)
{
	int64_t since = days + 719468 + ERA_DAYS;
	int64_t day = since % ERA_DAYS;
	int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
	int64_t in_year = day - (year * 365 + year / 4 - year / 100);
	int64_t from_march = (in_year * 5 + 2) / 153;
	struct date date;

	date.day = in_year - (from_march * 153 + 2) / 5 + 1;
	date.month = from_march < 10 ? from_march + 3 : from_march - 9;
	date.year = year + since / ERA_DAYS * 400 - 400 + (date.month <= 2);
	return date;
}

static char *
put(char *at, int64_t value, int digits, char after)
{
	for (int i = digits - 1; i >= 0; i--) {
		at[i] = (char)('0' + value % 10);
		value /= 10;
	}
	at[digits] = after;
	return at + digits + 1;
}

void
clock_text(int64_t wall_us, char out[CLOCK_TEXT_SIZE])
{
	struct date date;
	int64_t days;
	int64_t us;
	char *at = out;

	if (wall_us < WALL_MIN)
		wall_us = WALL_MIN;
	if (wall_us > WALL_MAX)
		wall_us = WALL_MAX;
	us = wall_us - WALL_MIN;
	days = us / (DAY_SECONDS * SECOND_US) + days_of(0, 1, 1);
	us %= DAY_SECONDS * SECOND_US;
	date = date_of(days);
	at = put(at, date.year, 4, '-');
	at = put(at, date.month, 2, '-');
	at = put(at, date.day, 2, 'T');
	at = put(at, us / SECOND_US / 3600, 2, ':');
	at = put(at, us / SECOND_US / 60 % 60, 2, ':');
	at = put(at, us / SECOND_US % 60, 2, '.');
	at = put(at, us % SECOND_US, 6, 'Z');
	*at = '\0';
}

void
clock_text_ms(int64_t wall_us, char out[CLOCK_TEXT_SIZE])
{
	const size_t len = sizeof("2026-01-31T23:59:59.123") - 1;

	clock_text(wall_us, out);
	out[len] = 'Z';
	out[len + 1] = '\0';
}

/* Reads exactly count digits and moves on. */
static bool
take_digits(const char **at, int count, int64_t *out)
{
	int64_t value = 0;

	for (int i = 0; i < count; i++) {
		char c = (*at)[i];

		if (c < '0' || c > '9')
			return false;
		value = value * 10 + (c - '0');
	}
	*at += count;
	*out = value;
	return true;
}

static bool
take_char(const char **at, char expected)
{
	if (**at != expected)
		return false;
	*at += 1;
	return true;
}

static int64_t
month_days(int64_t year, int64_t month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30,
		31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

static bool
take_date(const char **at, int64_t *seconds)
{
	int64_t year;
	int64_t month;
	int64_t day;

	if (!take_digits(at, 4, &year) || !take_char(at, '-') ||
	    !take_digits(at, 2, &month) || !take_char(at, '-') ||
	    !take_digits(at, 2, &day))
		return false;
	if (month < 1 || month > 12 || day < 1 || day > month_days(year, month))
		return false;
	*seconds = days_of(year, month, day) * DAY_SECONDS;
	return true;
}

static bool
take_time(const char **at, int64_t *seconds)
{
	int64_t hour;
	int64_t minute;
	int64_t second;

	if (!take_digits(at, 2, &hour) || !take_char(at, ':') ||
	    !take_digits(at, 2, &minute) || !take_char(at, ':') ||
	    !take_digits(at, 2, &second))
		return false;
	/* A leap second is the first one of the next minute. */
	if (hour > 23 || minute > 59 || second > (minute == 59 ? 60 : 59))
		return false;
	*seconds += hour * 3600 + minute * 60 + second;
	return true;
}

/* An optional fraction; digits after the sixth are read and forgotten. */
static bool
take_fraction(const char **at, int64_t *us)
{
	int64_t weight = SECOND_US / 10;
	int64_t digit;

	*us = 0;
	if (!take_char(at, '.'))
		return true;
	if (!take_digits(at, 1, &digit))
		return false;
	do {
		*us += digit * weight;
		weight /= 10;
	} while (take_digits(at, 1, &digit));
	return true;
}

static bool
take_zone(const char **at, int64_t *seconds)
{
	int64_t hours;
	int64_t minutes;
	int64_t sign;

	if (take_char(at, 'Z') || take_char(at, 'z'))
		return true;
	sign = **at == '-' ? -1 : 1;
	if (!take_char(at, '+') && !take_char(at, '-'))
		return false;
	if (!take_digits(at, 2, &hours) || !take_char(at, ':') ||
	    !take_digits(at, 2, &minutes))
		return false;
	if (hours > 23 || minutes > 59)
		return false;
	*seconds -= sign * (hours * 3600 + minutes * 60);
	return true;
}

enum err
clock_parse(const char *text, int64_t *wall_us)
{
	int64_t seconds = 0;
	int64_t us = 0;

	if (text == NULL || !take_date(&text, &seconds))
		return ERR_INPUT;
	if (*text == '\0') {
		*wall_us = seconds * SECOND_US;
		return OK;
	}
	if (!take_char(&text, 'T') && !take_char(&text, 't'))
		return ERR_INPUT;
	if (!take_time(&text, &seconds) || !take_fraction(&text, &us) ||
	    !take_zone(&text, &seconds) || *text != '\0')
		return ERR_INPUT;
	*wall_us = seconds * SECOND_US + us;
	return OK;
}

static const struct {
	const char *suffix;
	int64_t ms;
} units[] = {
	{ "", 1000 }, /* a bare number counts seconds */
	{ "ms", 1 },
	{ "s", 1000 },
	{ "m", 60 * 1000 },
	{ "h", 60 * 60 * 1000 },
	{ "d", 24 * 60 * 60 * 1000 },
};

enum err
clock_parse_duration(const char *text, int64_t *ms)
{
	int64_t value = 0;
	int64_t digit;

	if (text == NULL || !take_digits(&text, 1, &value))
		return ERR_INPUT;
	while (take_digits(&text, 1, &digit)) {
		if (value > (INT64_MAX - digit) / 10)
			return ERR_INPUT;
		value = value * 10 + digit;
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(text, units[i].suffix) != 0)
			continue;
		if (value > INT64_MAX / units[i].ms)
			return ERR_INPUT;
		*ms = value * units[i].ms;
		return OK;
	}
	return ERR_INPUT;
}
