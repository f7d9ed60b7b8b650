/*
 * query.c - query parameters, the list cursor, and links to the next page.
 */
#include "http/query.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/codec.h"
#include "http/check.h"
#include "http/response.h"

#define CURSOR_MAX 1024 /* characters; a sort value and an id */
/* what the other headers leave of all that an answer may have */
#define LINK_MAX (RESPONSE_HEADERS_MAX - 1024)

/* Of digits only, for strtoll takes blanks, signs and nothing at all. */
static enum err
read_digits(const char *text, int64_t *out)
{
	long long number;

	if (text[0] == '\0' || text[strspn(text, "0123456789")] != '\0')
		return ERR_INPUT;
	errno = 0;
	number = strtoll(text, NULL, 10);
	if (errno != 0)
		return ERR_INPUT;
	*out = number;
	return OK;
}

/* NOLINTBEGIN(readability-function-size): a parameter in one line */
void
query_int(struct http_request *req, struct problem_fields *bad,
    const char *name, int64_t min, int64_t max, int64_t *out)
{
	const char *text = request_query(req, name);
	int64_t number;

	if (text == NULL)
		return;
	if (read_digits(text, &number) != OK || number < min || number > max)
		check_number_fault(bad, name, min, max);
	else
		*out = number;
}
/* NOLINTEND(readability-function-size) */

void
query_word(struct http_request *req, struct problem_fields *bad,
    const char *name, const char *const *words, const char **out)
{
	const char *text = request_query(req, name);

	if (text == NULL)
		return;
	text = check_word(bad, name, text, words);
	if (text != NULL)
		*out = text;
}

void
query_string(struct http_request *req, struct problem_fields *bad,
    const char *name, int64_t max, const char **out)
{
	const char *text = request_query(req, name);
	const int64_t range[2] = { 0, max };

	if (text == NULL)
		return;
	if (check_length(bad, name, text, strlen(text), range))
		*out = text;
}

void
query_time(struct http_request *req, struct problem_fields *bad,
    const char *name, const char **out)
{
	const char *text = request_query(req, name);
	char canonical[CLOCK_TEXT_SIZE];
	const char *copy = NULL;
	int64_t wall_us;

	if (text == NULL)
		return;
	if (clock_parse(text, &wall_us) == OK) {
		clock_text(wall_us, canonical);
		copy = arena_strdup(req->arena, canonical);
	}
	if (copy == NULL)
		problem_field(bad, name,
		    "must be a time like "
		    "2026-01-31T23:59:59Z or a date");
	else
		*out = copy;
}

const char *
query_cursor_make(struct http_request *req, const char *text)
{
	const char *copy;
	struct buf buf;

	buf_init(&buf, CURSOR_MAX);
	codec_base64url(text, strlen(text), &buf);
	copy = buf_ok(&buf) ? arena_strdup(req->arena, buf_str(&buf)) : NULL;
	buf_fini(&buf);
	return copy;
}

/* NULL when it is none of ours. */
static const char *
read_cursor(struct arena *arena, const char *text)
{
	size_t len = strlen(text);
	size_t out_len;
	char *out;

	if (len == 0 || len > CURSOR_MAX)
		return NULL;
	out = arena_alloc(arena, len + 1);
	if (out == NULL ||
	    codec_base64url_decode(text, len, out, len, &out_len) != OK)
		return NULL;
	if (out_len == 0 || memchr(out, '\0', out_len) != NULL ||
	    codec_utf8_valid(out, out_len) != out_len)
		return NULL;
	out[out_len] = '\0';
	return out;
}

void
query_cursor(struct http_request *req, struct problem_fields *bad,
    const char **out)
{
	const char *text = request_query(req, "cursor");
	const char *cursor;

	if (text == NULL)
		return;
	cursor = read_cursor(req->arena, text);
	if (cursor == NULL)
		problem_field(bad, "cursor", "must be a cursor of this list");
	else
		*out = cursor;
}

/* RFC 3986 section 2.3, and what kept lists besides. */
static void
add_percent(struct buf *out, const char *text, const char *kept)
{
	static const char digits[] = "0123456789ABCDEF";

	for (; *text != '\0'; text++) {
		unsigned char byte = (unsigned char)*text;

		if (byte < 0x80 &&
		    (isalnum(byte) || strchr("-._~", byte) != NULL ||
			strchr(kept, byte) != NULL)) {
			buf_addc(out, *text);
			continue;
		}
		buf_addc(out, '%');
		buf_addc(out, digits[byte >> 4]);
		buf_addc(out, digits[byte & 15]);
	}
}

static void
add_pair(struct buf *out, char before, const char *name, const char *value)
{
	buf_addc(out, before);
	add_percent(out, name, "");
	buf_addc(out, '=');
	add_percent(out, value, ",:");
}

/* The credential that may come as ?token= does not go into a link. */
static bool
is_linked(const char *name)
{
	return strcmp(name, "cursor") != 0 && strcmp(name, "token") != 0;
}

void
query_link_next(struct http_request *req, const char *cursor_text)
{
	const char *cursor = query_cursor_make(req, cursor_text);
	const struct http_param *pair = req->query;
	char before = '?';
	struct buf link;

	if (cursor == NULL)
		return;
	buf_init(&link, LINK_MAX);
	buf_addc(&link, '<');
	add_percent(&link, req->path, "/");
	for (size_t i = 0; i < req->query_count; i++, pair++) {
		if (!is_linked(pair->name))
			continue;
		add_pair(&link, before, pair->name, pair->value);
		before = '&';
	}
	add_pair(&link, before, "cursor", cursor);
	buf_adds(&link, ">; rel=\"next\"");
	if (buf_ok(&link))
		response_header(req, "Link", buf_str(&link));
	buf_fini(&link);
}

const char *
query_like(struct http_request *req, const char *text)
{
	char *pattern = arena_alloc(req->arena, 2 * strlen(text) + 3);
	char *at = pattern;

	if (pattern == NULL)
		return NULL;
	*at++ = '%';
	for (; *text != '\0'; text++) {
		if (strchr("%_\\", *text) != NULL)
			*at++ = '\\';
		*at++ = *text;
	}
	*at++ = '%';
	*at = '\0';
	return pattern;
}
