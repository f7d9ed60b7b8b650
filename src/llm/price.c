/*
 * price.c - tokens and money, in integers.
 */
#include "llm/price.h"

#include <stddef.h>

/* *sum += tokens * price; false when a figure is unknown or too large.  No
 * tokens cost nothing, whatever the price. */
static bool
add(int64_t *sum, int64_t tokens, int64_t price)
{
	int64_t cost;

	if (tokens == 0)
		return true;
	if (tokens < 0 || price < 0)
		return false;
	return !__builtin_mul_overflow(tokens, price, &cost) &&
	       !__builtin_add_overflow(*sum, cost, sum);
}

int64_t
price_cost(const struct catalog_price *price, const struct call_usage *usage)
{
	int64_t cached = usage->cached < 0 ? 0 : usage->cached;
	int64_t cache_read =
	    price->cache_read < 0 ? price->input : price->cache_read;
	int64_t sum = 0;

	if (usage->prompt < 0 || usage->completion < 0)
		return -1;
	if (cached > usage->prompt)
		cached = usage->prompt;
	if (!add(&sum, usage->prompt - cached, price->input) ||
	    !add(&sum, cached, cache_read) ||
	    !add(&sum, usage->completion, price->output))
		return -1;
	return sum;
}

int64_t
price_characters(const char *text, size_t len)
{
	int64_t characters = 0;

	for (size_t i = 0; i < len; i++)
		characters += ((unsigned char)text[i] & 0xc0) != 0x80;
	return characters;
}

int64_t
price_tokens(int64_t characters)
{
	if (characters <= 0)
		return 0;
	return characters < CHARACTERS_A_TOKEN
		   ? 1
		   : characters / CHARACTERS_A_TOKEN;
}

int64_t
price_estimate_tokens(const char *text, size_t len)
{
	return price_tokens(price_characters(text, len));
}
