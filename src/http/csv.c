/*
 * csv.c - a cell of a CSV file (RFC 4180), safe to open in a spreadsheet.
 */
#include "http/csv.h"

#include <stdbool.h>
#include <string.h>

static bool
is_number(const char *text)
{
	size_t digits;

	if (*text == '-')
		text++;
	digits = strspn(text, "0123456789");
	text += digits;
	if (digits == 0)
		return false;
	if (*text == '.')
		text += 1 + strspn(text + 1, "0123456789");
	return *text == '\0';
}

static bool
is_formula(const char *text)
{
	return *text != '\0' && strchr("=+-@\t\r", *text) != NULL &&
	       !is_number(text);
}

void
csv_cell(struct buf *out, const char *text)
{
	bool formula;

	if (text == NULL)
		return;
	formula = is_formula(text);
	if (!formula && text[strcspn(text, ",\"\r\n")] == '\0') {
		buf_adds(out, text);
		return;
	}
	buf_adds(out, formula ? "\"'" : "\"");
	for (; *text != '\0'; text++) {
		if (*text == '"')
			buf_addc(out, '"');
		buf_addc(out, *text);
	}
	buf_addc(out, '"');
}
