/*
 * gate.h - the strict check that every JSON text passes before anything else
 * reads it: bodies of clients, answers and events of providers.
 *
 * json-c takes NaN, overlong UTF-8, surrogates, raw control characters,
 * duplicate keys and clamps big integers; PostgreSQL refuses most of them.
 * What passes here is RFC 8259 JSON that both read alike.
 */
#ifndef JSON_GATE_H
#define JSON_GATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define GATE_DEPTH_MAX 128 /* a limit of more levels is taken as this one */

enum gate_fault {
	GATE_OK = 0,
	GATE_EMPTY,     /* nothing but white space */
	GATE_SYNTAX,    /* not JSON: also single quotes, comments, NaN */
	GATE_UTF8,      /* invalid UTF-8 (overlong, surrogate, > U+10FFFF) */
	GATE_NUL,       /* \u0000, which PostgreSQL text cannot hold */
	GATE_SURROGATE, /* a lone \uD800..\uDFFF escape */
	GATE_CONTROL,   /* a raw control character in a string */
	GATE_DEPTH,     /* nested deeper than the limit */
	GATE_KEYS,      /* more keys in all than the limit */
	GATE_NUMBER,    /* literal over 32 characters, or out of range: not
	                 * finite as a double, exponent beyond 400 */
	GATE_DUPLICATE, /* the same key twice in an object */
	GATE_TRAILING,  /* something after the value */
	GATE_MEMORY,    /* also for a text of 2 GiB or more */
	GATE_VALUES,    /* more values in all than the limit */
	GATE_FAULT_COUNT
};

struct gate_limits {
	int depth;  /* nesting levels allowed; 64 for tool schemas */
	int keys;   /* object members in all */
	int values; /* values in all, 0 for no limit; an object or array counts
	             * as GATE_CONTAINER_WEIGHT of them, for it is that much
	             * memory once parsed, and "{}," is only three bytes */
};

#define GATE_CONTAINER_WEIGHT 8

struct gate_result {
	enum gate_fault fault;
	size_t offset; /* byte where it was found */
};

/* Checks len bytes of text.  No memory is kept. */
struct gate_result gate_check(const char *text, size_t len,
    const struct gate_limits *limits);

/*
 * Where a value lies in the text.  Spans are in the order of the text, so a
 * container comes before what it holds:
 *
 *	{"a": [1, 2], "b": 3}
 *	^0    ^1^2 ^3      ^4
 *
 * Span 0 has size 5 and count 2, span 1 has size 3 and count 2, the others
 * have size 1 and count 0.
 */
struct gate_span {
	uint32_t start;
	uint32_t end;   /* one past its last byte */
	uint32_t size;  /* spans from this one on that are this value */
	uint32_t count; /* elements or members */
};

#define GATE_SPANS_FEW 64 /* as many need no allocation */

struct gate_spans {
	struct gate_span *list; /* few, or on the heap */
	size_t count;
	size_t cap;
	int depth; /* levels of containers, 0 for a scalar */
	struct gate_span few[GATE_SPANS_FEW];
};

/* gate_check() that also lists the spans of all values.  spans needs no
 * initialisation; gate_spans_fini() frees it, also after a fault. */
struct gate_result gate_check_spans(const char *text, size_t len,
    const struct gate_limits *limits, struct gate_spans *spans);
void gate_spans_fini(struct gate_spans *spans);

/* "the same key appears twice in an object", for the client; never NULL. */
const char *gate_fault_text(enum gate_fault fault);

#endif /* JSON_GATE_H */
