/*
 * accept.c - which of several media types a client would rather have.
 */
#include "http/accept.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#define QUALITY_MAX 1000

/* How much of a type a media range names; the most counts. */
enum precision {
	NONE, /* it is another */
	ANY,  /* "*" "/" "*" */
	FAMILY,
	EXACT
};

/* What Accept says of one type. */
struct wish {
	enum precision precision;
	int quality;  /* thousandths */
	int position; /* of the range in Accept */
};

/* The end of a list element or parameter: one of stops outside of quotes. */
static const char *
element_end(const char *at, const char *stops)
{
	bool quoted = false;

	for (; *at != '\0'; at++) {
		if (*at == '"')
			quoted = !quoted;
		else if (quoted && *at == '\\' && at[1] != '\0')
			at++;
		else if (!quoted && strchr(stops, *at) != NULL)
			break;
	}
	return at;
}

static const char *
skip_blanks(const char *at)
{
	return at + strspn(at, " \t");
}

/* "0", "0.5", "1.000"; the most for what is no such number. */
static int
read_quality(const char *at)
{
	int quality = QUALITY_MAX;
	int place = QUALITY_MAX / 10;

	if (*at == '0' || *at == '.')
		quality = 0;
	at += *at == '0';
	if (quality != 0 || *at != '.')
		return quality;
	for (at++; *at >= '0' && *at <= '9'; at++) {
		quality += (*at - '0') * place;
		place /= 10;
	}
	return quality;
}

/* Of a range whose parameters are from at, a semicolon, to end. */
static int
find_quality(const char *at, const char *end)
{
	while (at < end) {
		at = skip_blanks(at + 1);
		if ((*at == 'q' || *at == 'Q') && at[1] == '=')
			return read_quality(at + 2);
		at = element_end(at, ";,");
	}
	return QUALITY_MAX;
}

static enum precision
compare(const char *range, size_t len, const char *type)
{
	size_t family = strcspn(type, "/") + 1;

	if (len == strlen(type) && strncasecmp(range, type, len) == 0)
		return EXACT;
	if (len == family + 1 && range[family] == '*' &&
	    strncasecmp(range, type, family) == 0)
		return FAMILY;
	return len == 3 && memcmp(range, "*/*", 3) == 0 ? ANY : NONE;
}

/* The range from at to end. */
static void
read_range(const char *at, const char *end, const char *type, struct wish *wish)
{
	const char *stop = element_end(at, ";,");
	size_t len = (size_t)(stop - at);
	enum precision precision;
	int quality;

	while (len > 0 && (at[len - 1] == ' ' || at[len - 1] == '\t'))
		len--;
	precision = compare(at, len, type);
	if (precision == NONE || precision < wish->precision)
		return;
	quality = find_quality(stop, end);
	if (precision == wish->precision && quality <= wish->quality)
		return;
	wish->precision = precision;
	wish->quality = quality;
}

/* The first range of the list is that at position. */
static int
read_list(const char *at, int position, const char *type, struct wish *wish)
{
	for (;; position++) {
		const struct wish before = *wish;
		const char *end;

		at = skip_blanks(at);
		end = element_end(at, ",");
		read_range(at, end, type, wish);
		if (wish->precision != before.precision ||
		    wish->quality != before.quality)
			wish->position = position;
		if (*end == '\0')
			return position + 1;
		at = end + 1;
	}
}

/* A header that is sent twice is one list. */
static struct wish
wish_for(const struct http_request *req, const char *type)
{
	struct wish wish = { NONE, 0, 0 };
	int position = 0;

	for (size_t i = 0; i < req->header_count; i++) {
		const struct http_header *header = &req->headers[i];

		if (strcmp(header->name, "accept") == 0)
			position =
			    read_list(header->value, position, type, &wish);
	}
	return wish;
}

static bool
is_better(const struct wish *wish, const struct wish *best)
{
	if (wish->quality != best->quality)
		return wish->quality > best->quality;
	if (wish->precision != best->precision)
		return wish->precision > best->precision;
	return wish->precision == EXACT && wish->position < best->position;
}

size_t
accept_best(const struct http_request *req, const char *const *types)
{
	struct wish best = { EXACT, 0, 0 }; /* refused: no wish is worse */
	size_t found = 0;

	for (size_t i = 0; types[i] != NULL; i++) {
		const struct wish wish = wish_for(req, types[i]);

		if (is_better(&wish, &best)) {
			best = wish;
			found = i;
		}
	}
	return found;
}
