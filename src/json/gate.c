/*
 * gate.c - the strict check of a JSON text (RFC 8259).
 *
 * One pass, no recursion: frames are the containers that are open, keys the
 * names of their members so far, so that a name sent twice is seen.  A
 * function that finds a fault leaves pos at it and returns it at once.
 */
#include "json/gate.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "json/escape.h"
#include "json/keys.h"

#define NUMBER_MAX   32  /* characters of a number literal */
#define EXPONENT_MAX 400 /* PostgreSQL's numeric takes any number within */

/* A container that is open. */
struct frame {
	bool object;
	uint32_t count;   /* values in it so far */
	uint32_t span;    /* its own */
	size_t first_key; /* in scan.keys */
};

struct scan {
	const char *text;
	const char *pos;
	const char *end;
	struct gate_limits limits;
	int depth;
	int keys_seen;
	int weight;               /* of the values so far */
	struct gate_spans *spans; /* NULL: not asked for */
	struct keys keys;
	struct frame frames[GATE_DEPTH_MAX];
};

static void
skip_space(struct scan *scan)
{
	while (scan->pos < scan->end &&
	       (*scan->pos == ' ' || *scan->pos == '\n' || *scan->pos == '\r' ||
		   *scan->pos == '\t'))
		scan->pos++;
}

static bool
spans_grow(struct gate_spans *spans)
{
	size_t cap = spans->cap * 2;
	struct gate_span *old = spans->list == spans->few ? NULL : spans->list;
	struct gate_span *list = realloc(old, cap * sizeof(*list));

	if (list == NULL)
		return false;
	if (old == NULL)
		memcpy(list, spans->few, sizeof(spans->few));
	spans->list = list;
	spans->cap = cap;
	return true;
}

/* Counts the value that begins at pos and opens its span. */
static enum gate_fault
value_open(struct scan *scan, int weight, uint32_t *span)
{
	struct gate_spans *spans = scan->spans;

	*span = 0;
	if (scan->limits.values > 0 &&
	    scan->weight > scan->limits.values - weight)
		return GATE_VALUES;
	scan->weight += weight;
	if (spans == NULL)
		return GATE_OK;
	if (spans->count == spans->cap && !spans_grow(spans))
		return GATE_MEMORY;
	*span = (uint32_t)spans->count;
	spans->list[spans->count++] = (struct gate_span){
		.start = (uint32_t)(scan->pos - scan->text),
	};
	return GATE_OK;
}

/* The value of span ended just before pos. */
static void
value_close(struct scan *scan, uint32_t span, uint32_t count)
{
	struct gate_spans *spans = scan->spans;

	if (spans == NULL)
		return;
	spans->list[span].end = (uint32_t)(scan->pos - scan->text);
	spans->list[span].size = (uint32_t)spans->count - span;
	spans->list[span].count = count;
}

/* Bytes at the start of a string that mean themselves, eight at a time. */
static const char *
skip_plain(const char *at, const char *end)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	const uint64_t highs = ones * 0x80;
	uint64_t word;
	uint64_t found;

	/* A byte's high bit is set in found when it is a quote, a backslash,
	 * a control character, or possibly when it is above 0x7f. */
	for (; end - at >= (ptrdiff_t)sizeof(word); at += sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		found = ((word ^ ones * '"') - ones) |
			((word ^ ones * '\\') - ones) | (word - ones * ' ');
		if ((found & ~word & highs) != 0)
			break;
	}
	while (at < end && *at != '"' && *at != '\\' && (uint8_t)*at >= ' ')
		at++;
	return at;
}

static enum gate_fault
scan_unicode(struct scan *scan)
{
	const char *digits = scan->pos + 2;
	int unit = escape_unit(digits, scan->end);

	if (unit < 0)
		return GATE_SYNTAX;
	if (unit == 0)
		return GATE_NUL;
	if (escape_is_low(unit))
		return GATE_SURROGATE;
	if (!escape_is_high(unit)) {
		scan->pos += 6;
		return GATE_OK;
	}
	if (scan->end - digits < 10 || digits[4] != '\\' || digits[5] != 'u' ||
	    !escape_is_low(escape_unit(digits + 6, scan->end)))
		return GATE_SURROGATE;
	scan->pos += 12;
	return GATE_OK;
}

static enum gate_fault
scan_escape(struct scan *scan)
{
	if (scan->end - scan->pos < 2)
		return GATE_SYNTAX;
	if (scan->pos[1] == 'u')
		return scan_unicode(scan);
	if (scan->pos[1] == '\0' || strchr("\"\\/bfnrt", scan->pos[1]) == NULL)
		return GATE_SYNTAX;
	scan->pos += 2;
	return GATE_OK;
}

/* From the quote at pos to past the closing one. */
static enum gate_fault
scan_string(struct scan *scan, bool *escaped)
{
	enum gate_fault fault;

	*escaped = false;
	scan->pos++;
	for (;;) {
		scan->pos = skip_plain(scan->pos, scan->end);
		if (scan->pos == scan->end)
			return GATE_SYNTAX;
		if (*scan->pos == '"')
			break;
		if (*scan->pos != '\\')
			return GATE_CONTROL;
		*escaped = true;
		fault = scan_escape(scan);
		if (fault != GATE_OK)
			return fault;
	}
	scan->pos++;
	return GATE_OK;
}

static bool
at_digit(const struct scan *scan)
{
	return scan->pos < scan->end && *scan->pos >= '0' && *scan->pos <= '9';
}

static bool
scan_digits(struct scan *scan)
{
	if (!at_digit(scan))
		return false;
	while (at_digit(scan))
		scan->pos++;
	return true;
}

static bool
at_either(const struct scan *scan, char a, char b)
{
	return scan->pos < scan->end && (*scan->pos == a || *scan->pos == b);
}

/* Without an exponent, 32 characters cannot leave the range of a double. */
static bool
in_range(const char *number, size_t len, const char *exponent)
{
	char copy[NUMBER_MAX + 1];
	long power;

	if (len > NUMBER_MAX)
		return false;
	if (exponent == NULL)
		return true;
	memcpy(copy, number, len);
	copy[len] = '\0';
	power = strtol(copy + (exponent - number), NULL, 10);
	return power >= -EXPONENT_MAX && power <= EXPONENT_MAX &&
	       isfinite(strtod(copy, NULL));
}

static enum gate_fault
scan_number(struct scan *scan)
{
	const char *start = scan->pos;
	const char *exponent = NULL;

	if (*scan->pos == '-')
		scan->pos++;
	if (at_either(scan, '0', '0')) {
		scan->pos++;
		if (at_digit(scan))
			return GATE_SYNTAX;
	} else if (!scan_digits(scan)) {
		return GATE_SYNTAX;
	}
	if (at_either(scan, '.', '.')) {
		scan->pos++;
		if (!scan_digits(scan))
			return GATE_SYNTAX;
	}
	if (at_either(scan, 'e', 'E')) {
		exponent = ++scan->pos;
		if (at_either(scan, '+', '-'))
			scan->pos++;
		if (!scan_digits(scan))
			return GATE_SYNTAX;
	}
	if (in_range(start, (size_t)(scan->pos - start), exponent))
		return GATE_OK;
	scan->pos = start;
	return GATE_NUMBER;
}

static enum gate_fault
scan_word(struct scan *scan, const char *word, size_t len)
{
	if ((size_t)(scan->end - scan->pos) < len ||
	    memcmp(scan->pos, word, len) != 0)
		return GATE_SYNTAX;
	scan->pos += len;
	return GATE_OK;
}

static enum gate_fault
scan_scalar(struct scan *scan)
{
	bool escaped;

	switch (*scan->pos) {
	case '"':
		return scan_string(scan, &escaped);
	case 't':
		return scan_word(scan, "true", 4);
	case 'f':
		return scan_word(scan, "false", 5);
	case 'n':
		return scan_word(scan, "null", 4);
	default:
		return scan_number(scan);
	}
}

static enum gate_fault
container_open(struct scan *scan, bool object)
{
	struct frame *frame;
	enum gate_fault fault;
	uint32_t span;

	if (scan->depth >= scan->limits.depth)
		return GATE_DEPTH;
	fault = value_open(scan, GATE_CONTAINER_WEIGHT, &span);
	if (fault != GATE_OK)
		return fault;
	frame = &scan->frames[scan->depth++];
	frame->object = object;
	frame->count = 0;
	frame->span = span;
	frame->first_key = scan->keys.count;
	if (scan->spans != NULL && scan->spans->depth < scan->depth)
		scan->spans->depth = scan->depth;
	scan->pos++;
	return GATE_OK;
}

static enum gate_fault
container_close(struct scan *scan)
{
	const struct frame *frame = &scan->frames[--scan->depth];
	const char *again;

	scan->pos++;
	value_close(scan, frame->span, frame->count);
	if (!frame->object)
		return GATE_OK;
	again = keys_close(&scan->keys, frame->first_key);
	if (again == NULL)
		return GATE_OK;
	scan->pos = again - 1; /* at its quote */
	return GATE_DUPLICATE;
}

/* A whole scalar, or the first byte of a container. */
static enum gate_fault
scan_value(struct scan *scan)
{
	enum gate_fault fault;
	uint32_t span;

	skip_space(scan);
	if (scan->pos == scan->end)
		return GATE_SYNTAX;
	if (*scan->pos == '{' || *scan->pos == '[')
		return container_open(scan, *scan->pos == '{');
	fault = value_open(scan, 1, &span);
	if (fault == GATE_OK)
		fault = scan_scalar(scan);
	if (fault == GATE_OK)
		value_close(scan, span, 0);
	return fault;
}

static enum gate_fault
scan_key(struct scan *scan, const struct frame *frame)
{
	struct key key = { .text = scan->pos + 1 };
	enum gate_fault fault;

	if (scan->pos == scan->end || *scan->pos != '"')
		return GATE_SYNTAX;
	if (++scan->keys_seen > scan->limits.keys)
		return GATE_KEYS;
	fault = scan_string(scan, &key.escaped);
	if (fault != GATE_OK)
		return fault;
	key.len = (uint32_t)(scan->pos - key.text - 1);
	fault = keys_add(&scan->keys, frame->first_key, &key);
	if (fault != GATE_OK) {
		scan->pos = key.text - 1;
		return fault;
	}
	skip_space(scan);
	if (scan->pos == scan->end || *scan->pos != ':')
		return GATE_SYNTAX;
	scan->pos++;
	return GATE_OK;
}

/* The next element or member of the innermost container, or its end. */
static enum gate_fault
scan_next(struct scan *scan)
{
	struct frame *frame = &scan->frames[scan->depth - 1];
	enum gate_fault fault;

	skip_space(scan);
	if (scan->pos == scan->end)
		return GATE_SYNTAX;
	if (*scan->pos == (frame->object ? '}' : ']'))
		return container_close(scan);
	if (frame->count > 0) {
		if (*scan->pos != ',')
			return GATE_SYNTAX;
		scan->pos++;
		skip_space(scan);
	}
	frame->count++;
	if (frame->object) {
		fault = scan_key(scan, frame);
		if (fault != GATE_OK)
			return fault;
	}
	return scan_value(scan);
}

static enum gate_fault
scan_text(struct scan *scan)
{
	enum gate_fault fault;

	skip_space(scan);
	if (scan->pos == scan->end)
		return GATE_EMPTY;
	fault = scan_value(scan);
	while (fault == GATE_OK && scan->depth > 0)
		fault = scan_next(scan);
	if (fault != GATE_OK)
		return fault;
	skip_space(scan);
	return scan->pos == scan->end ? GATE_OK : GATE_TRAILING;
}

/* Its large arrays are left as they are: a stream has many small texts. */
static void
scan_init(struct scan *scan, const char *text, size_t len,
    const struct gate_limits *limits)
{
	scan->text = text;
	scan->pos = text;
	scan->end = text + len;
	scan->limits = *limits;
	if (scan->limits.depth > GATE_DEPTH_MAX)
		scan->limits.depth = GATE_DEPTH_MAX;
	scan->depth = 0;
	scan->keys_seen = 0;
	scan->weight = 0;
	keys_init(&scan->keys);
}

static void
spans_init(struct gate_spans *spans)
{
	spans->list = spans->few;
	spans->count = 0;
	spans->depth = 0;
	spans->cap = GATE_SPANS_FEW;
}

struct gate_result
gate_check_spans(const char *text, size_t len, const struct gate_limits *limits,
    struct gate_spans *spans)
{
	struct gate_result result = { .fault = GATE_MEMORY };
	struct scan scan;
	size_t valid;

	if (spans != NULL)
		spans_init(spans);
	if (len >= INT32_MAX)
		return result;
	scan_init(&scan, text, len, limits);
	scan.spans = spans;
	result.fault = scan_text(&scan);
	result.offset = (size_t)(scan.pos - text);
	keys_fini(&scan.keys);
	/* In strings the scan took any byte above 0x7f. */
	valid = codec_utf8_valid(text, len);
	if (valid < len && (result.fault == GATE_OK || result.offset >= valid))
		return (struct gate_result){ GATE_UTF8, valid };
	return result;
}

struct gate_result
gate_check(const char *text, size_t len, const struct gate_limits *limits)
{
	return gate_check_spans(text, len, limits, NULL);
}

void
gate_spans_fini(struct gate_spans *spans)
{
	if (spans->list != spans->few)
		free(spans->list);
	spans_init(spans);
}

const char *
gate_fault_text(enum gate_fault fault)
{
	static const char *const texts[GATE_FAULT_COUNT] = {
		[GATE_OK] = "no fault",
		[GATE_EMPTY] = "there is no JSON value",
		[GATE_SYNTAX] = "this is not valid JSON",
		[GATE_UTF8] = "invalid UTF-8",
		[GATE_NUL] = "\\u0000 is not allowed in a string",
		[GATE_SURROGATE] =
		    "an escaped surrogate without its other half",
		[GATE_CONTROL] =
		    "a control character in a string is not escaped",
		[GATE_DEPTH] = "nested too deeply",
		[GATE_KEYS] = "too many object members",
		[GATE_NUMBER] = "a number is too long or out of range",
		[GATE_DUPLICATE] = "the same key appears twice in an object",
		[GATE_TRAILING] = "something follows the JSON value",
		[GATE_MEMORY] = "too large to be read now",
		[GATE_VALUES] = "too many values",
	};

	if ((unsigned)fault >= GATE_FAULT_COUNT)
		return "unknown fault";
	return texts[fault];
}
