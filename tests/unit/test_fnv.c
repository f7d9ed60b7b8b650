/*
 * test_fnv.c - the hash is the one that has the name.
 */
#include <criterion/criterion.h>

#include "base/fnv.h"

Test(fnv, published_vectors)
{
	cr_expect_eq(fnv_add(FNV_BASIS, ""), UINT64_C(0xcbf29ce484222325));
	cr_expect_eq(fnv_add(FNV_BASIS, "a"), UINT64_C(0xaf63dc4c8601ec8c));
	cr_expect_eq(fnv_add(FNV_BASIS, "foobar"),
	    UINT64_C(0x85944171f73967e8));
	cr_expect_eq(fnv_add(fnv_add(FNV_BASIS, "foo"), "bar"),
	    UINT64_C(0x85944171f73967e8));
}
