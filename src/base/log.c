/*
 * log.c - one JSON object a line on stderr.
 *
 * A line is made whole on the stack and written with one write(2).  Text that
 * does not fit is cut between two characters, the line says so ("cut":true)
 * and is still JSON.
 */
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/codec.h"

#define LINE_SIZE     8192 /* one write, and no flood from one bad request */
#define LINE_END      ",\"cut\":true}\n"
#define LINE_MAX_TEXT (LINE_SIZE - sizeof(LINE_END))
#define ROLE_SIZE     64

/* Set once by log_setup(), before any thread starts. */
static struct {
	enum log_level most;
	char role[ROLE_SIZE];
} setup = { .most = LOG_INFO, .role = "main" };

struct line {
	size_t len;
	bool cut; /* something was left out: nothing is added after it */
	char data[LINE_SIZE];
};

void
log_setup(enum log_level most, const char *role)
{
	size_t len = strlen(role);

	if (len >= sizeof(setup.role))
		len = sizeof(setup.role) - 1;
	memcpy(setup.role, role, len);
	setup.role[len] = '\0';
	setup.most = most;
}

/* All of it, and keep bytes of room after it, or nothing. */
static bool
add(struct line *line, const char *data, size_t len, size_t keep)
{
	if (line->cut || line->len + len + keep > LINE_MAX_TEXT) {
		line->cut = true;
		return false;
	}
	memcpy(line->data + line->len, data, len);
	line->len += len;
	return true;
}

static size_t
escape(char out[8], unsigned int code)
{
	static const char from[] = "\"\\\n\r\t";
	static const char to[] = "\"\\nrt";
	const char *known = code < 0x80 ? strchr(from, (int)code) : NULL;

	if (code != 0 && known != NULL) {
		out[0] = '\\';
		out[1] = to[known - from];
		return 2;
	}
	return (size_t)snprintf(out, 8, "\\u%04x", code);
}

/* Control characters of Unicode's first two blocks, which move a terminal. */
static bool
is_control(const unsigned char *at, size_t size)
{
	if (size == 1)
		return at[0] < 0x20 || at[0] == 0x7f;
	return at[0] == 0xc2 && at[1] < 0xa0;
}

/* One character of at, escaped; returns the bytes that were read. */
static size_t
add_char(struct line *line, const char *at, size_t len)
{
	const unsigned char *bytes = (const unsigned char *)at;
	size_t size = 1;
	char code[8];

	while (size < 4 && size < len && codec_utf8_valid(at, size) == 0)
		size++;
	if (codec_utf8_valid(at, size) == 0) {
		(void)add(line, code, escape(code, 0xfffd), 1);
		return 1;
	}
	if (is_control(bytes, size) || *at == '"' || *at == '\\')
		(void)add(line, code, escape(code, bytes[size - 1]), 1);
	else
		(void)add(line, at, size, 1);
	return size;
}

static void
add_text(struct line *line, const char *text)
{
	size_t left = strlen(text);
	size_t used;

	if (!add(line, "\"", 1, 1))
		return;
	while (left > 0 && !line->cut) {
		used = add_char(line, text, left);
		text += used;
		left -= used;
	}
	line->data[line->len++] = '"'; /* its room was kept by every add() */
}

/* name is ours: letters, digits and underscores. */
static void
add_field(struct line *line, const struct log_field *field)
{
	char number[24];
	size_t start = line->len;
	int len;

	if (line->cut)
		return;
	(void)add(line, ",\"", 2, 0);
	(void)add(line, field->name, strlen(field->name), 0);
	(void)add(line, "\":", 2, sizeof(number));
	if (line->cut) {
		line->len = start;
		return;
	}
	if (field->text != NULL) {
		add_text(line, field->text);
		return;
	}
	len = snprintf(number, sizeof(number), "%" PRId64, field->number);
	(void)add(line, number, (size_t)len, 0);
}

static void
write_line(const struct line *line)
{
	size_t done = 0;
	ssize_t wrote;

	/* The rest of a short write follows, or two lines become one. */
	while (done < line->len) {
		wrote =
		    write(STDERR_FILENO, line->data + done, line->len - done);
		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote <= 0)
			return; /* nobody to tell */
		done += (size_t)wrote;
	}
}

static const char *
level_name(enum log_level level)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };

	return names[level];
}

void
log_fields(enum log_level level, const char *message,
    const struct log_field *fields, int count)
{
	int saved = errno;
	char now[CLOCK_TEXT_SIZE];
	struct line line;
	const struct log_field head[] = {
		{ .name = "level", .text = level_name(level) },
		{ .name = "role", .text = setup.role },
		{ .name = "message", .text = message },
	};

	if (level > setup.most)
		return;
	line.len = 0;
	line.cut = false;
	clock_text(clock_wall_us(), now);
	(void)add(&line, "{\"time\":", 8, 0);
	add_text(&line, now);
	for (size_t i = 0; i < sizeof(head) / sizeof(head[0]); i++)
		add_field(&line, &head[i]);
	for (int i = 0; i < count; i++)
		add_field(&line, &fields[i]);
	/* Room for the longer end was never given away. */
	memcpy(line.data + line.len, line.cut ? LINE_END : "}\n",
	    line.cut ? sizeof(LINE_END) - 1 : 2);
	line.len += line.cut ? sizeof(LINE_END) - 1 : 2;
	write_line(&line);
	errno = saved;
}

__attribute__((format(printf, 3, 0))) static void
log_text(enum log_level level, int error, const char *fmt, va_list args)
{
	int saved = errno;
	char text[LINE_SIZE];
	char why[128];
	int len;

	if (level > setup.most)
		return;
	len = vsnprintf(text, sizeof(text), fmt, args);
	if (len < 0)
		len = snprintf(text, sizeof(text), "unprintable message");
	if (error != 0 && (size_t)len < sizeof(text))
		(void)snprintf(text + len, sizeof(text) - (size_t)len, ": %s",
		    strerror_r(error, why, sizeof(why)));
	log_fields(level, text, NULL, 0);
	errno = saved;
}

void
log_error(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_text(LOG_ERROR, 0, fmt, args);
	va_end(args);
}

void
log_warn(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_text(LOG_WARN, 0, fmt, args);
	va_end(args);
}

void
log_warn_errno(const char *fmt, ...)
{
	int error = errno;
	va_list args;

	va_start(args, fmt);
	log_text(LOG_WARN, error, fmt, args);
	va_end(args);
}

void
log_info(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_text(LOG_INFO, 0, fmt, args);
	va_end(args);
}

void
log_debug(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_text(LOG_DEBUG, 0, fmt, args);
	va_end(args);
}
