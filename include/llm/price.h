/*
 * price.h - tokens and money.
 */
#ifndef LLM_PRICE_H
#define LLM_PRICE_H

#include <stddef.h>
#include <stdint.h>

#include "llm/call.h"

#define CHARACTERS_A_TOKEN 4 /* by estimate */

/*
 * Cost of usage in pico-dollars: (prompt - cached) * input + cached *
 * cache_read (input when unknown) + completion * output.  -1 when a price that
 * is needed or a count is unknown, or on overflow.
 */
int64_t price_cost(const struct catalog_price *price,
    const struct call_usage *usage);

/* Tokens by estimate: characters / CHARACTERS_A_TOKEN, at least 1 for any text,
 * 0 for none. */
int64_t price_tokens(int64_t characters);
int64_t price_estimate_tokens(const char *text, size_t len);

/* Of text in UTF-8. */
int64_t price_characters(const char *text, size_t len);

#endif /* LLM_PRICE_H */
