/*
 * fields.h - the line of a call (record.h), read again.
 */
#ifndef JOURNAL_FIELDS_H
#define JOURNAL_FIELDS_H

#include <stdbool.h>
#include <stddef.h>

/* In the order of the line. */
enum call_field {
	FIELD_USER,
	FIELD_ID,
	FIELD_KEY,
	FIELD_KIND,
	FIELD_PROVIDER,
	FIELD_MODEL,
	FIELD_UPSTREAM_MODEL,
	FIELD_STATUS,
	FIELD_STREAM,
	FIELD_PROMPT_TOKENS,
	FIELD_COMPLETION_TOKENS,
	FIELD_CACHED_TOKENS,
	FIELD_REASONING_TOKENS,
	FIELD_ESTIMATED,
	FIELD_COST,
	FIELD_LATENCY,
	FIELD_FIRST_TOKEN,
	FIELD_HTTP_STATUS,
	FIELD_ERROR,
	FIELD_END_USER,
	FIELD_ENVIRONMENT,
	FIELD_SOURCE,
	FIELD_CHAT,
	FIELD_SESSION,
	FIELD_REQUEST_ID,
	FIELD_METADATA,
	FIELD_STARTED,
	FIELD_FINISHED,
	FIELD_REQUEST,
	FIELD_RESPONSE,
	FIELD_COUNT
};

/* A field as it is in the line: escaped, \N for null. */
struct field {
	const char *text;
	size_t len;
};

/* False when the line has not as many fields as a call. */
bool fields_split(const char *line, size_t len, struct field out[FIELD_COUNT]);
bool field_is_null(const struct field *field);

/* The values, NULL for null, in the bytes of line, which must be
 * NUL-terminated and is used up.  False as above, and when a value may hold a
 * NUL: then line is as it was. */
bool fields_values(char *line, size_t len, const char *out[FIELD_COUNT]);

#endif /* JOURNAL_FIELDS_H */
