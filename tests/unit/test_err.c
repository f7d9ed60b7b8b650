/*
 * test_err.c - the names of results.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "base/err.h"

Test(err, every_result_has_a_name_of_its_own)
{
	for (int i = 0; i < ERR_COUNT; i++) {
		cr_assert_not_null(err_name((enum err)i));
		for (int j = 0; j < i; j++)
			cr_expect_str_neq(err_name((enum err)i),
			    err_name((enum err)j));
	}
	cr_expect_str_eq(err_name(OK), "ok");
	cr_expect_str_eq(err_name(ERR_COUNT), "unknown");
	cr_expect_str_eq(err_name((enum err) - 1), "unknown");
}
