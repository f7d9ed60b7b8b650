/*
 * common.h - is a password one of those that are tried first?
 *
 * A table of the usual words and, instead of the thousands of variants that
 * lists of leaked passwords hold, the rules that make them: a word with digits
 * or signs around it, letters swapped for signs, repetitions, sequences and
 * runs on the keyboard, and any two of these after each other.
 */
#ifndef AUTH_COMMON_H
#define AUTH_COMMON_H

#include <stdbool.h>
#include <stddef.h>

bool common_password(const char *password, size_t len);

#endif /* AUTH_COMMON_H */
