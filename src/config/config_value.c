/*
 * config_value.c - from the text of a setting to its field, and back.
 */
#include "config/config_value.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/log.h"
#include "config/config_shape.h"

struct unit {
	const char *suffix;
	int64_t size;
};

/* Largest first, for writing. */
static const struct unit durations[] = {
	{ "d", INT64_C(86400000) },
	{ "h", INT64_C(3600000) },
	{ "m", INT64_C(60000) },
	{ "s", INT64_C(1000) },
	{ "ms", 1 },
};
static const struct unit sizes[] = {
	{ "t", INT64_C(1) << 40 },
	{ "g", INT64_C(1) << 30 },
	{ "m", INT64_C(1) << 20 },
	{ "k", INT64_C(1) << 10 },
	{ "", 1 },
};
static const struct unit levels[] = {
	{ "error", LOG_ERROR },
	{ "warn", LOG_WARN },
	{ "info", LOG_INFO },
	{ "debug", LOG_DEBUG },
};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

char *
config_copy(const char *text, size_t len)
{
	char *copy = malloc(len + 1);

	if (copy == NULL)
		return NULL;
	memcpy(copy, text, len);
	copy[len] = '\0';
	return copy;
}

void
config_forget(char *text)
{
	if (text == NULL)
		return;
	explicit_bzero(text, strlen(text));
	free(text);
}

bool
config_is_key(const char *name)
{
	static const char end[] = "_API_KEY";
	size_t len = strlen(name);

	return len >= sizeof(end) &&
	       strcmp(name + len - (sizeof(end) - 1), end) == 0;
}

const char *
config_kind_name(enum config_kind kind)
{
	static const char *const names[CONFIG_KIND_COUNT] = {
		[CONFIG_STRING] = "string",
		[CONFIG_CONNINFO] = "conninfo",
		[CONFIG_URL] = "url",
		[CONFIG_ORIGINS] = "origins",
		[CONFIG_HOSTS] = "hosts",
		[CONFIG_LIST] = "list",
		[CONFIG_INT] = "int",
		[CONFIG_DURATION] = "duration",
		[CONFIG_BYTES] = "bytes",
		[CONFIG_LEVEL] = "level",
	};

	return names[kind];
}

bool
config_kind_is_text(enum config_kind kind)
{
	return kind <= CONFIG_LIST;
}

static char **
text_field(const struct config_option *option, struct config *config)
{
	return (char **)((char *)config + option->offset);
}

static int64_t *
number_field(const struct config_option *option, struct config *config)
{
	return (int64_t *)((char *)config + option->offset);
}

/* Whole number of digits only, then one of the suffixes of units. */
static bool
parse_units(const char *text, const struct unit *units, size_t count,
    int64_t *out)
{
	int64_t value = 0;

	if (*text < '0' || *text > '9')
		return false;
	for (; *text >= '0' && *text <= '9'; text++) {
		if (value > (INT64_MAX - (*text - '0')) / 10)
			return false;
		value = value * 10 + (*text - '0');
	}
	for (size_t i = 0; i < count; i++) {
		if (strcasecmp(text, units[i].suffix) != 0)
			continue;
		if (value > INT64_MAX / units[i].size)
			return false;
		*out = value * units[i].size;
		return true;
	}
	return false;
}

static bool
parse_level(const char *text, int64_t *out)
{
	for (size_t i = 0; i < COUNT(levels); i++) {
		if (strcmp(text, levels[i].suffix) != 0)
			continue;
		*out = levels[i].size;
		return true;
	}
	return false;
}

static bool
parse_number(enum config_kind kind, const char *text, int64_t *out)
{
	static const struct unit one[] = { { "", 1 } };

	if (kind == CONFIG_DURATION)
		return clock_parse_duration(text, out) == OK;
	if (kind == CONFIG_BYTES)
		return parse_units(text, sizes, COUNT(sizes), out);
	if (kind == CONFIG_LEVEL)
		return parse_level(text, out);
	return parse_units(text, one, COUNT(one), out);
}

/* In the largest unit that divides it. */
static void
add_units(int64_t value, const struct unit *units, size_t count,
    struct buf *out)
{
	size_t i = 0;

	while (i + 1 < count && (value == 0 || value % units[i].size != 0))
		i++;
	if (value == 0)
		buf_addc(out, '0');
	else
		buf_addf(out, "%lld%s", (long long)(value / units[i].size),
		    units[i].suffix);
}

static void
add_number(enum config_kind kind, int64_t value, struct buf *out)
{
	if (kind == CONFIG_DURATION)
		add_units(value, durations, COUNT(durations), out);
	else if (kind == CONFIG_BYTES)
		add_units(value, sizes, COUNT(sizes), out);
	else if (kind == CONFIG_LEVEL)
		buf_adds(out, levels[value].suffix);
	else
		buf_addf(out, "%lld", (long long)value);
}

static void
expect_number(const struct config_option *option, struct buf *problems)
{
	static const char *const forms[CONFIG_KIND_COUNT] = {
		[CONFIG_INT] = "a whole number",
		[CONFIG_DURATION] = "a duration such as 250ms, 90s, 15m, 12h, "
				    "7d (a bare number is seconds)",
		[CONFIG_BYTES] = "a size such as 512k, 64m, 2g (a bare number "
				 "is bytes)",
	};

	if (option->kind == CONFIG_LEVEL) {
		buf_adds(problems, "error, warn, info or debug\n");
		return;
	}
	buf_addf(problems, "%s from ", forms[option->kind]);
	add_number(option->kind, option->min, problems);
	buf_adds(problems, " to ");
	add_number(option->kind, option->max, problems);
	buf_addc(problems, '\n');
}

static enum err
set_number(const struct config_option *option, const char *text,
    struct config *config, struct buf *problems)
{
	int64_t value;

	if (!parse_number(option->kind, text, &value)) {
		buf_addf(problems, "%s: \"%.60s\" is not valid, expected ",
		    option->name, text);
		expect_number(option, problems);
		return ERR_INPUT;
	}
	if (option->kind != CONFIG_LEVEL &&
	    (value < option->min || value > option->max)) {
		buf_addf(problems, "%s: %.60s is out of range, expected ",
		    option->name, text);
		expect_number(option, problems);
		return ERR_INPUT;
	}
	*number_field(option, config) = value;
	return OK;
}

static bool
is_clean(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if ((text[i] >= 0 && text[i] < ' ') || text[i] == 0x7f)
			return false;
	}
	return codec_utf8_valid(text, len) == len;
}

/* Length, with a problem line when it is wrong; an unset one is right.  A
 * value is not shown: it may be a secret in a wrong place. */
static bool
check_length(const struct config_option *option, const char *text,
    struct buf *problems)
{
	size_t len = strlen(text);

	if (len > (size_t)option->max) {
		buf_addf(problems, "%s: has %zu bytes, expected at most %lld\n",
		    option->name, len, (long long)option->max);
		return false;
	}
	if (len > 0 && len < (size_t)option->min) {
		buf_addf(problems,
		    "%s: has %zu bytes, expected at least %lld\n", option->name,
		    len, (long long)option->min);
		return false;
	}
	return true;
}

static enum err
set_text(const struct config_option *option, const char *text,
    struct config *config, struct buf *problems)
{
	char **field = text_field(option, config);
	char *copy;

	if (!check_length(option, text, problems))
		return ERR_INPUT;
	copy = config_copy(text, strlen(text));
	if (copy == NULL)
		return ERR_MEMORY;
	if (!config_shape_tidy(option->kind, text, copy)) {
		config_forget(copy);
		buf_addf(problems, "%s: is not valid, expected %s\n",
		    option->name, config_shape_expected(option->kind));
		return ERR_INPUT;
	}
	config_forget(*field);
	*field = copy;
	return OK;
}

enum err
config_value_set(const struct config_option *option, const char *text,
    struct config *config, struct buf *problems)
{
	if (!is_clean(text, strlen(text))) {
		buf_addf(problems,
		    "%s: holds control characters or is not UTF-8, expected "
		    "plain text\n",
		    option->name);
		return ERR_INPUT;
	}
	if (config_kind_is_text(option->kind))
		return set_text(option, text, config, problems);
	return set_number(option, text, config, problems);
}

void
config_value_text(const struct config_option *option,
    const struct config *config, struct buf *out)
{
	const char *field = (const char *)config + option->offset;

	if (config_kind_is_text(option->kind))
		buf_adds(out, *(char *const *)(const void *)field);
	else
		add_number(option->kind, *(const int64_t *)(const void *)field,
		    out);
}
