/*
 * escape.h - what stands between the quotes of a JSON string.
 */
#ifndef JSON_ESCAPE_H
#define JSON_ESCAPE_H

#include <stdbool.h>
#include <stdint.h>

/* The UTF-16 code unit of four hex digits at at; -1 when they are not there. */
int escape_unit(const char *at, const char *end);

/* Halves of a pair that is one character. */
bool escape_is_high(int unit);
bool escape_is_low(int unit);

/* Reads the decoded bytes of a string that the gate has checked. */
struct escape_decoder {
	const char *at;
	const char *end;
	uint8_t pending[4]; /* of a character that was escaped */
	int pending_len;
	int pending_at;
};

/* The next byte; -1 at the end. */
int escape_decode(struct escape_decoder *decoder);

#endif /* JSON_ESCAPE_H */
