/*
 * write.c - writing JSON into a struct buf.
 *
 * Invalid UTF-8 becomes U+FFFD, so that what is written is JSON whatever came.
 */
#include "json/write.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"

#define PICO_PER_USD 1000000000000
#define PICO_DIGITS  12

void
jsonw_init(struct jsonw *w, struct buf *buf)
{
	w->buf = buf;
	w->comma = false;
}

/* What comes before a value or a key. */
static void
separate(struct jsonw *w)
{
	if (w->comma)
		buf_addc(w->buf, ',');
	w->comma = true;
}

static void
begin(struct jsonw *w, char bracket)
{
	separate(w);
	buf_addc(w->buf, bracket);
	w->comma = false;
}

static void
end(struct jsonw *w, char bracket)
{
	buf_addc(w->buf, bracket);
	w->comma = true;
}

void
jsonw_object(struct jsonw *w)
{
	begin(w, '{');
}

void
jsonw_end_object(struct jsonw *w)
{
	end(w, '}');
}

void
jsonw_array(struct jsonw *w)
{
	begin(w, '[');
}

void
jsonw_end_array(struct jsonw *w)
{
	end(w, ']');
}

static bool
is_special(char byte)
{
	return (uint8_t)byte < ' ' || byte == '"' || byte == '\\';
}

/* Is one of eight bytes special?  Below zero by a subtraction goes the lowest
 * byte that is too small, and what borrows from it. */
static bool
has_special(uint64_t bytes)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	uint64_t quote = bytes ^ ones * '"';
	uint64_t backslash = bytes ^ ones * '\\';

	return ((((bytes - ones * ' ') & ~bytes) | ((quote - ones) & ~quote) |
		    ((backslash - ones) & ~backslash)) &
		   ones * 0x80) != 0;
}

static uint64_t
eight_bytes(const char *text)
{
	uint64_t bytes;

	memcpy(&bytes, text, sizeof(bytes));
	return bytes;
}

/* Bytes at the start that are not special. */
static size_t
plain_run(const char *text, size_t len)
{
	size_t run = 0;

	while (len - run >= 8 && !has_special(eight_bytes(text + run)))
		run += 8;
	while (run < len && !is_special(text[run]))
		run++;
	return run;
}

/* ASCII without anything special: most keys and many texts. */
static bool
is_plain(const char *text, size_t len)
{
	const uint64_t high_bits = UINT64_C(0x8080808080808080);
	size_t at = 0;

	for (; len - at >= 8; at += 8) {
		uint64_t bytes = eight_bytes(text + at);

		if ((bytes & high_bits) != 0 || has_special(bytes))
			return false;
	}
	for (; at < len; at++) {
		if ((uint8_t)text[at] >= 0x80 || is_special(text[at]))
			return false;
	}
	return true;
}

static void
add_escape(struct buf *buf, char byte)
{
	static const char bytes[] = "\"\\\b\f\n\r\t";
	static const char names[] = "\"\\bfnrt";
	const char *found = byte == '\0' ? NULL : strchr(bytes, byte);

	if (found == NULL) {
		buf_addf(buf, "\\u%04x", (unsigned)(uint8_t)byte);
		return;
	}
	buf_addc(buf, '\\');
	buf_addc(buf, names[found - bytes]);
}

/* text is valid UTF-8. */
static void
add_escaped(struct buf *buf, const char *text, size_t len)
{
	for (;;) {
		size_t plain = plain_run(text, len);

		buf_add(buf, text, plain);
		if (plain == len)
			return;
		add_escape(buf, text[plain]);
		text += plain + 1;
		len -= plain + 1;
	}
}

static void
add_valid(struct buf *buf, const char *text, size_t len)
{
	size_t valid;

	while (len > 0) {
		valid = codec_utf8_valid(text, len);
		add_escaped(buf, text, valid);
		if (valid == len)
			break;
		buf_adds(buf, "\xef\xbf\xbd");
		text += valid + 1;
		len -= valid + 1;
	}
}

static void
add_any_string(struct jsonw *w, const char *text, size_t len)
{
	separate(w);
	buf_addc(w->buf, '"');
	add_valid(w->buf, text, len);
	buf_addc(w->buf, '"');
}

/* The string with the comma before it, and as a key with the colon: most are
 * copied as they are, at once. */
static void
add_string(struct jsonw *w, const char *text, size_t len, bool key)
{
	char *at;

	if (!is_plain(text, len)) {
		add_any_string(w, text, len);
		if (key)
			buf_addc(w->buf, ':');
		return;
	}
	at = buf_extend(w->buf, (size_t)w->comma + len + 2 + (size_t)key);
	if (at == NULL)
		return;
	if (w->comma)
		*at++ = ',';
	*at++ = '"';
	memcpy(at, text, len);
	at[len] = '"';
	if (key)
		at[len + 1] = ':';
}

void
jsonw_key(struct jsonw *w, const char *key)
{
	add_string(w, key, strlen(key), true);
	w->comma = false;
}

void
jsonw_string(struct jsonw *w, const char *text)
{
	if (text == NULL)
		jsonw_null(w);
	else
		jsonw_string_len(w, text, strlen(text));
}

void
jsonw_string_len(struct jsonw *w, const char *text, size_t len)
{
	add_string(w, text, len, false);
	w->comma = true;
}

void
jsonw_int(struct jsonw *w, int64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);
	uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;

	separate(w);
	do {
		digits[--at] = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest > 0);
	if (value < 0)
		digits[--at] = '-';
	buf_add(w->buf, digits + at, sizeof(digits) - at);
}

/* Takes back what was written since the buffer had len bytes. */
static void
rewind_to(struct buf *buf, size_t len)
{
	buf->len = len;
	buf->data[len] = '\0';
}

void
jsonw_double(struct jsonw *w, double value)
{
	size_t start;

	if (!isfinite(value)) {
		jsonw_null(w);
		return;
	}
	separate(w);
	start = w->buf->len;
	for (int digits = 15; digits <= 17; digits++) {
		buf_addf(w->buf, "%.*g", digits, value);
		if (!buf_ok(w->buf) || digits == 17 ||
		    strtod(w->buf->data + start, NULL) == value)
			return;
		rewind_to(w->buf, start);
	}
}

void
jsonw_bool(struct jsonw *w, bool value)
{
	separate(w);
	buf_adds(w->buf, value ? "true" : "false");
}

void
jsonw_null(struct jsonw *w)
{
	separate(w);
	buf_adds(w->buf, "null");
}

void
jsonw_raw(struct jsonw *w, const char *json, size_t len)
{
	separate(w);
	buf_add(w->buf, json, len);
}

void
jsonw_again(struct jsonw *w, size_t begin, size_t len)
{
	char *at;

	separate(w);
	at = buf_extend(w->buf, len);
	if (at != NULL)
		memcpy(at, w->buf->data + begin, len);
}

void
jsonw_kv(struct jsonw *w, const char *key, const char *text)
{
	jsonw_key(w, key);
	jsonw_string(w, text);
}

void
jsonw_kv_int(struct jsonw *w, const char *key, int64_t value)
{
	jsonw_key(w, key);
	jsonw_int(w, value);
}

void
jsonw_kv_bool(struct jsonw *w, const char *key, bool value)
{
	jsonw_key(w, key);
	jsonw_bool(w, value);
}

void
jsonw_usd(struct jsonw *w, int64_t pico_usd)
{
	size_t len;

	if (pico_usd < 0) {
		jsonw_null(w);
		return;
	}
	jsonw_int(w, pico_usd / PICO_PER_USD);
	if (pico_usd % PICO_PER_USD == 0)
		return;
	buf_addf(w->buf, ".%0*" PRId64, PICO_DIGITS, pico_usd % PICO_PER_USD);
	if (!buf_ok(w->buf))
		return;
	len = w->buf->len;
	while (w->buf->data[len - 1] == '0')
		len--;
	rewind_to(w->buf, len);
}
