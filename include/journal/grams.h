/*
 * grams.h - what texts can contain: a bit for each three characters that
 * follow each other in one of them.
 *
 * A text has every bit of each of its parts in any letter case, so texts
 * without one of the bits of what is looked for need not be read.  That holds
 * for whatever PostgreSQL takes for the same letter: characters that are not
 * ASCII have no bits, but for those of texts that it may take for one that is.
 */
#ifndef JOURNAL_GRAMS_H
#define JOURNAL_GRAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GRAMS_BITS      31744
#define GRAMS_WANTED    8
#define GRAMS_TEXT_SIZE (1 + GRAMS_BITS / 4 + 1) /* "x<hex>" and its NUL */

struct grams {
	uint8_t bits[GRAMS_BITS / 8];
};

void grams_init(struct grams *grams);

/* Adds those of UTF-8; no three characters are of two texts. */
void grams_add(struct grams *grams, const char *text, size_t len);

/* As PostgreSQL reads a bit varying; a bit of it is that of get_bit(). */
void grams_text(const struct grams *grams, char out[GRAMS_TEXT_SIZE]);

/*
 * GRAMS_WANTED bits of those that text has, from all over it, some more than
 * once when it has fewer.  False: it has none.
 */
bool grams_wanted(const char *text, size_t len, int32_t out[GRAMS_WANTED]);

#endif /* JOURNAL_GRAMS_H */
