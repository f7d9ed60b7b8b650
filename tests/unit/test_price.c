/*
 * test_price.c - tokens and money.
 */
#include <criterion/criterion.h>

#include "llm/price.h"

static int64_t
cost(struct catalog_price price, int64_t prompt, int64_t completion,
    int64_t cached)
{
	struct call_usage usage = { prompt, completion, cached, -1, false };

	return price_cost(&price, &usage);
}

#define PRICE(in, out, cached) ((struct catalog_price){ in, out, cached, -1 })

Test(price, cached_tokens_cost_their_own_price)
{
	cr_expect_eq(cost(PRICE(1000, 2000, 100), 10, 3, 4), 12400);
	cr_expect_eq(cost(PRICE(1000, 2000, -1), 10, 3, 4), 16000);
	cr_expect_eq(cost(PRICE(1000, 2000, 100), 10, 3, -1), 16000);
	cr_expect_eq(cost(PRICE(1000, 2000, 100), 10, 0, 50), 1000);
}

Test(price, what_is_unknown_is_not_nothing)
{
	cr_expect_eq(cost(PRICE(-1, 2000, -1), 10, 3, 0), -1);
	cr_expect_eq(cost(PRICE(1000, -1, -1), 10, 3, 0), -1);
	cr_expect_eq(cost(PRICE(1000, 2000, 1), -1, 3, 0), -1);
	cr_expect_eq(cost(PRICE(1000, 2000, 1), 10, -1, 0), -1);
}

Test(price, no_tokens_need_no_price)
{
	cr_expect_eq(cost(PRICE(5, -1, -1), 10, 0, 0), 50);
	cr_expect_eq(cost(PRICE(-1, -1, -1), 0, 0, 0), 0);
	cr_expect_eq(cost(PRICE(0, 0, 0), 10, 10, 0), 0);
}

Test(price, overflow_is_unknown)
{
	cr_expect_eq(cost(PRICE(INT64_MAX / 2, 0, 0), 3, 0, 0), -1);
	cr_expect_eq(cost(PRICE(INT64_MAX / 2, INT64_MAX / 2, 0), 2, 2, 0), -1);
}

Test(price, four_characters_are_a_token)
{
	cr_expect_eq(price_estimate_tokens("", 0), 0);
	cr_expect_eq(price_estimate_tokens("a", 1), 1);
	cr_expect_eq(price_estimate_tokens("abcdefgh", 8), 2);
	cr_expect_eq(price_estimate_tokens("abcdefghi", 9), 2);
	/* characters, not bytes */
	cr_expect_eq(price_estimate_tokens("\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4",
			 8),
	    1);
}
