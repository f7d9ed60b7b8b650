/*
 * read.h - reading JSON: parse through the gate, then typed getters.
 *
 * A struct jsonr is a value inside a parsed document; it lives as long as the
 * arena it was parsed into and is never shared between threads.  Getters never
 * coerce: "12" is not a number and 1 is not true.
 */
#ifndef JSON_READ_H
#define JSON_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "json/gate.h"

struct jsonr; /* a value */

enum jsonr_kind {
	JSONR_NULL,
	JSONR_BOOL,
	JSONR_NUMBER,
	JSONR_STRING,
	JSONR_ARRAY,
	JSONR_OBJECT
};

/* depth 64, 10,000 keys, values of about 50 MB once parsed */
extern const struct gate_limits jsonr_limits;

/*
 * Parses exactly one value.  ERR_INPUT with *why set when the gate refuses it;
 * why may be NULL.  *out lives in arena.
 */
enum err jsonr_parse(struct arena *arena, const char *text, size_t len,
    struct jsonr **out, struct gate_result *why) MUST_CHECK;

/* The same within other limits, for batches of many records. */
enum err jsonr_parse_within(struct arena *arena, const char *text, size_t len,
    const struct gate_limits *limits, struct jsonr **out,
    struct gate_result *why) MUST_CHECK;

/* JSONR_NULL for NULL. */
enum jsonr_kind jsonr_kind(const struct jsonr *value);

/* The member called key; NULL when value is NULL, no object, or lacks it. */
struct jsonr *jsonr_get(const struct jsonr *value, const char *key);

/* Elements of an array, members of an object; 0 for anything else.  This and
 * the two below take constant time. */
size_t jsonr_count(const struct jsonr *value);
struct jsonr *jsonr_at(const struct jsonr *array, size_t index);
/* The index-th member of an object; its name in *key.  NULL past the end. */
struct jsonr *jsonr_member(const struct jsonr *object, size_t index,
    const char **key);

/* Each is ERR_INPUT when value is NULL or of another kind, and leaves *out. */
enum err jsonr_string(const struct jsonr *value, const char **out,
    size_t *len) MUST_CHECK; /* borrowed, NUL-terminated; len may be NULL */
enum err jsonr_bool(const struct jsonr *value, bool *out) MUST_CHECK;
/* An integer literal (no fraction, no exponent) within [min,max]. */
enum err jsonr_int(const struct jsonr *value, int64_t min, int64_t max,
    int64_t *out) MUST_CHECK;

/*
 * The text of the value exactly as it came (numbers keep their text, objects
 * their order and white space), not NUL-terminated, borrowed from the arena.
 */
void jsonr_raw(const struct jsonr *value, const char **text, size_t *len);

/* The same as a NUL-terminated copy in the document's arena; NULL when memory
 * is short or value is NULL. */
const char *jsonr_text(const struct jsonr *value);

/* "0.16", for the version command. */
const char *read_library_version(void);

#endif /* JSON_READ_H */
