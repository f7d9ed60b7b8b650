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

#include "base/err.h"

enum gate_fault {
	GATE_OK = 0,
	GATE_EMPTY,        /* nothing but white space */
	GATE_SYNTAX,       /* not JSON: also single quotes, comments, NaN */
	GATE_UTF8,         /* invalid UTF-8 (overlong, surrogate, > U+10FFFF) */
	GATE_NUL,          /* \u0000, which PostgreSQL text cannot hold */
	GATE_SURROGATE,    /* a lone \uD800..\uDFFF escape */
	GATE_CONTROL,      /* a raw control character in a string */
	GATE_DEPTH,        /* nested deeper than the limit */
	GATE_KEYS,         /* more keys in all than the limit */
	GATE_NUMBER,       /* number literal over 32 characters or not finite */
	GATE_DUPLICATE,    /* the same key twice in an object */
	GATE_TRAILING,     /* something after the value */
	GATE_MEMORY,
	GATE_FAULT_COUNT
};

struct gate_limits {
	int depth;  /* nesting levels allowed; 64 for tool schemas */
	int keys;   /* object members in all */
};

struct gate_result {
	enum gate_fault fault;
	size_t offset; /* byte where it was found */
};

/* Checks len bytes of text.  No memory is kept. */
struct gate_result gate_check(const char *text, size_t len,
    const struct gate_limits *limits);

/* "the same key appears twice in an object", for the client; never NULL. */
const char *gate_fault_text(enum gate_fault fault);

#endif /* JSON_GATE_H */
