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
	size_t plain = 0;

	for (size_t at = 0; at < len; at++) {
		if (!is_special(text[at]))
			continue;
		buf_add(buf, text + plain, at - plain);
		add_escape(buf, text[at]);
		plain = at + 1;
	}
	buf_add(buf, text + plain, len - plain);
}

static void
add_string(struct buf *buf, const char *text, size_t len)
{
	size_t valid;

	buf_addc(buf, '"');
	while (len > 0) {
		valid = codec_utf8_valid(text, len);
		add_escaped(buf, text, valid);
		if (valid == len)
			break;
		buf_adds(buf, "\xef\xbf\xbd");
		text += valid + 1;
		len -= valid + 1;
	}
	buf_addc(buf, '"');
}

void
jsonw_key(struct jsonw *w, const char *key)
{
	separate(w);
	add_string(w->buf, key, strlen(key));
	buf_addc(w->buf, ':');
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
	separate(w);
	add_string(w->buf, text, len);
}

void
jsonw_int(struct jsonw *w, int64_t value)
{
	separate(w);
	buf_addf(w->buf, "%" PRId64, value);
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
