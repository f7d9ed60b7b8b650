/*
 * check.c - the rules that fields of bodies and queries share.
 */
#include "http/check.h"

#include <inttypes.h>
#include <string.h>

/* A character is each byte that is not a continuation byte. */
static int64_t
count_characters(const char *text, size_t len)
{
	int64_t count = 0;

	for (size_t i = 0; i < len; i++)
		count += ((unsigned char)text[i] & 0xc0) != 0x80;
	return count;
}

bool
check_length(struct problem_fields *bad, const char *field, const char *text,
    size_t len, const int64_t range[2])
{
	int64_t count = count_characters(text, len);

	if (count >= range[0] && count <= range[1])
		return true;
	if (range[0] > 0)
		problem_field(bad, field,
		    "must have %" PRId64 " to %" PRId64 " characters", range[0],
		    range[1]);
	else
		problem_field(bad, field,
		    "must have at most %" PRId64 " characters", range[1]);
	return false;
}

/* "a, b or c". */
static const char *
join_words(struct arena *arena, const char *const *words)
{
	const char *list = words[0];
	const char *glue;

	for (size_t i = 1; words[i] != NULL && list != NULL; i++) {
		glue = words[i + 1] == NULL ? " or " : ", ";
		list = arena_printf(arena, "%s%s%s", list, glue, words[i]);
	}
	return list != NULL ? list : "a known word";
}

const char *
check_word(struct problem_fields *bad, const char *field, const char *text,
    const char *const *words)
{
	for (size_t i = 0; words[i] != NULL; i++) {
		if (strcmp(text, words[i]) == 0)
			return words[i];
	}
	problem_field(bad, field, "must be %s",
	    join_words(bad->req->arena, words));
	return NULL;
}

void
check_number_fault(struct problem_fields *bad, const char *field, int64_t min,
    int64_t max)
{
	problem_field(bad, field,
	    "must be an integer from %" PRId64 " to %" PRId64, min, max);
}
