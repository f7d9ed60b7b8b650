/*
 * test_csv.c - cells of CSV files.
 */
#include "http/csv.h"

#include <criterion/criterion.h>

static void
expect(const char *text, const char *cell)
{
	struct buf out;

	buf_init(&out, 1000);
	csv_cell(&out, text);
	cr_expect_str_eq(buf_str(&out), cell);
	buf_fini(&out);
}

Test(csv, a_plain_cell_stays_plain)
{
	expect("plain text", "plain text");
	expect("", "");
	expect(NULL, "");
}

Test(csv, separators_are_quoted)
{
	expect("a,b", "\"a,b\"");
	expect("a\r\nb", "\"a\r\nb\"");
	expect("say \"no\"", "\"say \"\"no\"\"\"");
}

Test(csv, a_formula_is_defused)
{
	expect("=1+1", "\"'=1+1\"");
	expect("+1", "\"'+1\"");
	expect("-cmd", "\"'-cmd\"");
	expect("@x", "\"'@x\"");
	expect("\t=x", "\"'\t=x\"");
	expect("-", "\"'-\"");
}

Test(csv, a_number_is_no_formula)
{
	expect("-12.5", "-12.5");
	expect("-3", "-3");
}
