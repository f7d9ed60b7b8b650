/*
 * fuzz_gate.c - what the gate takes, json-c takes too, and both read alike.
 *
 * Each value's own text must parse to the same value again, and what is
 * written from the values must be taken again and written the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "json/read.h"
#include "json/write.h"

#define TEXT_MAX ((size_t)64 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool promise)
{
	if (!promise)
		abort();
}

static void write_value(struct jsonw *w, const struct jsonr *value);

static void
write_children(struct jsonw *w, const struct jsonr *value)
{
	const char *key;

	for (size_t i = 0; i < jsonr_count(value); i++) {
		if (jsonr_kind(value) == JSONR_ARRAY) {
			write_value(w, jsonr_at(value, i));
			continue;
		}
		struct jsonr *member = jsonr_member(value, i, &key);

		must(member != NULL && jsonr_get(value, key) == member);
		jsonw_key(w, key);
		write_value(w, member);
	}
}

static void
write_scalar(struct jsonw *w, const struct jsonr *value)
{
	const char *text;
	int64_t integer;
	size_t len;
	bool yes;

	if (jsonr_string(value, &text, &len) == OK) {
		must(strlen(text) == len);
		jsonw_string(w, text);
	} else if (jsonr_bool(value, &yes) == OK) {
		jsonw_bool(w, yes);
	} else if (jsonr_int(value, INT64_MIN, INT64_MAX, &integer) == OK) {
		jsonw_int(w, integer);
	} else if (jsonr_kind(value) == JSONR_NUMBER) {
		jsonr_raw(value, &text, &len);
		jsonw_raw(w, text, len);
	} else {
		must(jsonr_kind(value) == JSONR_NULL);
		jsonw_null(w);
	}
}

static void
write_value(struct jsonw *w, const struct jsonr *value)
{
	const char *text;
	size_t len;

	jsonr_raw(value, &text, &len);
	must(gate_check(text, len, &jsonr_limits).fault == GATE_OK);
	if (jsonr_kind(value) == JSONR_ARRAY) {
		jsonw_array(w);
		write_children(w, value);
		jsonw_end_array(w);
	} else if (jsonr_kind(value) == JSONR_OBJECT) {
		jsonw_object(w);
		write_children(w, value);
		jsonw_end_object(w);
	} else {
		write_scalar(w, value);
	}
}

/* Reads text, which must be taken, and writes it into out. */
static void
rewrite(const char *text, size_t len, struct buf *out)
{
	struct arena *arena = arena_new();
	struct jsonr *value = NULL;
	struct jsonw w;

	must(arena != NULL);
	must(jsonr_parse(arena, text, len, &value, NULL) == OK);
	buf_init(out, TEXT_MAX);
	jsonw_init(&w, out);
	write_value(&w, value);
	must(buf_ok(out));
	arena_free(arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct gate_result result;
	struct buf once;
	struct buf twice;

	result = gate_check(text, size, &jsonr_limits);
	must(result.offset <= size);
	if (result.fault != GATE_OK)
		return 0;
	rewrite(text, size, &once);
	rewrite(once.data, once.len, &twice);
	must(once.len == twice.len);
	must(memcmp(once.data, twice.data, once.len) == 0);
	buf_fini(&once);
	buf_fini(&twice);
	return 0;
}
