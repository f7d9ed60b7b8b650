/*
 * check.h - the rules that fields of bodies and queries share.
 */
#ifndef HTTP_CHECK_H
#define HTTP_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/problem.h"

/* text, len bytes of valid UTF-8, has min to max characters (code points);
 * otherwise it is a fault of field. */
bool check_length(struct problem_fields *bad, const char *field,
    const char *text, size_t len, const int64_t range[2]);

/* The one of words, a NULL-terminated list, that text is; otherwise NULL, and
 * a fault of field that names them. */
const char *check_word(struct problem_fields *bad, const char *field,
    const char *text, const char *const *words);

/* The fault of a number that is none or not in [min,max]. */
void check_number_fault(struct problem_fields *bad, const char *field,
    int64_t min, int64_t max);

#endif /* HTTP_CHECK_H */
