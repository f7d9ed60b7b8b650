/*
 * test_fault.c - what SQLSTATEs mean to the program.
 */
#include "db/fault.h"

#include <criterion/criterion.h>

Test(fault, states_map_to_who_acts)
{
	cr_expect_eq(fault_err("23505"), ERR_CONFLICT);
	cr_expect_eq(fault_err("23503"), ERR_INPUT);
	cr_expect_eq(fault_err("23514"), ERR_INPUT);
	cr_expect_eq(fault_err("22P02"), ERR_INPUT);
	cr_expect_eq(fault_err("22021"), ERR_INPUT);
	cr_expect_eq(fault_err("54000"), ERR_INPUT);
	cr_expect_eq(fault_err("57014"), ERR_TIMEOUT);
	cr_expect_eq(fault_err("55P03"), ERR_TIMEOUT);
	cr_expect_eq(fault_err("57P01"), ERR_BUSY);
	cr_expect_eq(fault_err("57P03"), ERR_BUSY);
	cr_expect_eq(fault_err("08006"), ERR_BUSY);
	cr_expect_eq(fault_err("53100"), ERR_BUSY);
	cr_expect_eq(fault_err("53300"), ERR_BUSY);
	cr_expect_eq(fault_err("40P01"), ERR_BUSY);
	cr_expect_eq(fault_err("25006"), ERR_BUSY);
}

Test(fault, what_a_correct_program_never_causes_is_a_bug)
{
	cr_expect_eq(fault_err("42P01"), ERR_BUG);
	cr_expect_eq(fault_err("42501"), ERR_BUG);
	cr_expect_eq(fault_err("XX000"), ERR_BUG);
	cr_expect_eq(fault_err(""), ERR_BUG);
}

Test(fault, stale_statements_are_recognised)
{
	cr_expect(fault_is_stale_statement("26000"));
	cr_expect(fault_is_stale_statement("0A000"));
	cr_expect(fault_is_stale_statement("42P05"));
	cr_expect_not(fault_is_stale_statement("23505"));
}

Test(fault, messages_about_values_are_replaced)
{
	cr_expect_str_eq(fault_words("22P02"), "a value is none of its type");
	cr_expect_str_eq(fault_words("22000"), "a value cannot be taken");
	cr_expect_null(fault_words("23505"));
	cr_expect_null(fault_words(""));
}
