/*
 * fields.c - the line of a call, read again.
 */
#include "journal/fields.h"

#include <string.h>

#define NUL "\\000" /* would end a value early; so may one after a "\\" */

bool
fields_split(const char *line, size_t len, struct field out[FIELD_COUNT])
{
	const char *end = line + len;
	size_t count = 0;

	if (len == 0 || end[-1] != '\n')
		return false;
	end--;
	for (;;) {
		const char *stop = memchr(line, '\t', (size_t)(end - line));

		if (stop == NULL)
			stop = end;
		if (count == FIELD_COUNT)
			return false;
		out[count++] = (struct field){ line, (size_t)(stop - line) };
		if (stop == end)
			return count == FIELD_COUNT;
		line = stop + 1;
	}
}

bool
field_is_null(const struct field *field)
{
	return field->len == 2 && memcmp(field->text, "\\N", 2) == 0;
}

static bool
is_octal(const char *digits)
{
	for (int i = 0; i < 3; i++)
		if (digits[i] < '0' || digits[i] > '7')
			return false;
	return true;
}

/* Takes the escapes out of len bytes of text and ends it. */
static void
unescape(char *text, size_t len)
{
	const char *end = text + len;
	const char *from = memchr(text, '\\', len);
	char *to;

	if (from == NULL) {
		text[len] = '\0';
		return;
	}
	to = text + (from - text);
	while (from < end) {
		if (*from == '\\' && end - from >= 4 && is_octal(from + 1)) {
			*to++ = (char)((from[1] - '0') << 6 |
				       (from[2] - '0') << 3 | (from[3] - '0'));
			from += 4;
			continue;
		}
		if (*from == '\\' && end - from >= 2)
			from++;
		*to++ = *from++;
	}
	*to = '\0';
}

bool
fields_values(char *line, size_t len, const char *out[FIELD_COUNT])
{
	struct field fields[FIELD_COUNT];

	if (!fields_split(line, len, fields) ||
	    memmem(line, len, NUL, sizeof(NUL) - 1) != NULL)
		return false;
	for (size_t i = 0; i < FIELD_COUNT; i++) {
		char *text = line + (fields[i].text - line);

		if (field_is_null(&fields[i])) {
			out[i] = NULL;
			continue;
		}
		unescape(text, fields[i].len);
		out[i] = text;
	}
	return true;
}
