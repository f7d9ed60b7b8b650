/*
 * grams.c - what texts can contain: a bit for each three characters that
 * follow each other in one of them.
 */
#include "journal/grams.h"

#include <string.h>

#include "base/codec.h"

#define LETTERS   3
#define NOTHING   0U    /* a character without bits */
#define SILENT    0x80U /* as if it were not there */
#define GRAM_MASK 0xffffffU

/* Characters that are not ASCII but whose lower case is or begins with it, or
 * that some languages take for the lower case of an ASCII letter. */
static const struct {
	const char *utf8;
	size_t len;
	unsigned char letter;
} strangers[] = {
	{ "\xe2\x84\xaa", 3, 'k' }, /* KELVIN SIGN */
	{ "\xc4\xb0", 2, 'i' },     /* LATIN CAPITAL LETTER I WITH DOT ABOVE */
	{ "\xc4\xb1", 2, 'i' },     /* LATIN SMALL LETTER DOTLESS I */
	{ "\xc3\x8c", 2, 'i' },     /* LATIN CAPITAL LETTER I WITH GRAVE */
	{ "\xc3\x8d", 2, 'i' },     /* LATIN CAPITAL LETTER I WITH ACUTE */
	{ "\xc4\xa8", 2, 'i' },     /* LATIN CAPITAL LETTER I WITH TILDE */
	{ "\xcc\x87", 2, SILENT },  /* COMBINING DOT ABOVE */
};

void
grams_init(struct grams *grams)
{
	memset(grams, 0, sizeof(*grams));
}

static size_t
stranger(const char *text, size_t len, unsigned char *letter)
{
	for (size_t i = 0; i < sizeof(strangers) / sizeof(*strangers); i++) {
		if (len >= strangers[i].len &&
		    memcmp(text, strangers[i].utf8, strangers[i].len) == 0) {
			*letter = strangers[i].letter;
			return strangers[i].len;
		}
	}
	*letter = NOTHING;
	return 1; /* the bytes that follow have no bits either */
}

/* Where the letters of a text are read, and the last three of them. */
struct reader {
	const char *at;
	size_t left;
	bool strangers; /* are letters too, where they may be taken for one */
	uint32_t gram;
	size_t run; /* letters without a break */
};

/* There is one: a letter, SILENT or NOTHING. */
static unsigned char
next_letter(struct reader *reader)
{
	unsigned char letter = (unsigned char)*reader->at;
	size_t taken = 1;

	if (letter >= 'A' && letter <= 'Z')
		letter = (unsigned char)(letter + 'a' - 'A');
	else if (letter >= 0x80 && reader->strangers)
		taken = stranger(reader->at, reader->left, &letter);
	else if (letter >= 0x80)
		letter = NOTHING;
	reader->at += taken;
	reader->left -= taken;
	return letter;
}

/* The bit of the next three letters; false at the end. */
static bool
next_bit(struct reader *reader, uint32_t *bit)
{
	while (reader->left > 0) {
		unsigned char letter = next_letter(reader);

		if (letter == SILENT)
			continue;
		reader->gram = (reader->gram << 8 | letter) & GRAM_MASK;
		reader->run = letter == NOTHING ? 0 : reader->run + 1;
		if (reader->run >= LETTERS) {
			/* Knuth's multiplicative hash: its high bits are good */
			uint32_t hash = reader->gram * UINT32_C(2654435761);

			*bit = (uint32_t)((uint64_t)hash * GRAMS_BITS >> 32);
			return true;
		}
	}
	return false;
}

void
grams_add(struct grams *grams, const char *text, size_t len)
{
	struct reader reader = { .at = text, .left = len, .strangers = true };
	uint32_t bit;

	while (next_bit(&reader, &bit))
		grams->bits[bit / 8] |= (uint8_t)(0x80U >> (bit % 8));
}

void
grams_text(const struct grams *grams, char out[GRAMS_TEXT_SIZE])
{
	out[0] = 'x';
	codec_hex(grams->bits, sizeof(grams->bits), out + 1);
}

bool
grams_wanted(const char *text, size_t len, int32_t out[GRAMS_WANTED])
{
	struct reader reader = { .at = text, .left = len };
	size_t count = 0, n = 0;
	uint32_t bit;

	while (next_bit(&reader, &bit))
		count++;
	if (count == 0)
		return false;
	for (size_t i = 0; i < GRAMS_WANTED; i++)
		out[i] = -1;
	reader = (struct reader){ .at = text, .left = len };
	for (; next_bit(&reader, &bit); n++)
		out[n * GRAMS_WANTED / count] = (int32_t)bit;
	for (size_t i = 1; i < GRAMS_WANTED; i++)
		if (out[i] < 0)
			out[i] = out[i - 1];
	return true;
}
