/*
 * write.h - writing JSON into a struct buf, with commas and escapes right.
 *
 *	struct jsonw w;
 *	jsonw_init(&w, &buf);
 *	jsonw_object(&w);
 *	jsonw_key(&w, "name");
 *	jsonw_string(&w, name);     (NULL writes null)
 *	jsonw_end_object(&w);
 *	if (!buf_ok(&buf)) ...
 *
 * Invalid UTF-8 in a text becomes U+FFFD.
 */
#ifndef JSON_WRITE_H
#define JSON_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct jsonw {
	struct buf *buf;
	bool comma; /* a comma is due before the next value or key */
};

void jsonw_init(struct jsonw *w, struct buf *buf);
void jsonw_object(struct jsonw *w);
void jsonw_end_object(struct jsonw *w);
void jsonw_array(struct jsonw *w);
void jsonw_end_array(struct jsonw *w);
void jsonw_key(struct jsonw *w, const char *key);
void jsonw_string(struct jsonw *w, const char *text); /* NULL: null */
void jsonw_string_len(struct jsonw *w, const char *text, size_t len);
void jsonw_int(struct jsonw *w, int64_t value);
/* Shortest text that reads back; null when not finite. */
void jsonw_double(struct jsonw *w, double value);
void jsonw_bool(struct jsonw *w, bool value);
void jsonw_null(struct jsonw *w);
/* Text that already is JSON: from jsonr_raw() or from PostgreSQL. */
void jsonw_raw(struct jsonw *w, const char *json, size_t len);
/* A value of the same buffer once more: its len bytes from begin on. */
void jsonw_again(struct jsonw *w, size_t begin, size_t len);

/* key and value at once, the common case. */
void jsonw_kv(struct jsonw *w, const char *key, const char *text);
void jsonw_kv_int(struct jsonw *w, const char *key, int64_t value);
void jsonw_kv_bool(struct jsonw *w, const char *key, bool value);

/* Pico-dollars as a JSON number of USD, exact, no exponent: 1500000 is
 * 0.0000015; negative values are unknown and write null. */
void jsonw_usd(struct jsonw *w, int64_t pico_usd);

#endif /* JSON_WRITE_H */
