/*
 * test_keys.c - names sent twice are seen, whatever their spelling and number.
 */
#include "json/keys.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct keys keys;

static void
setup(void)
{
	keys_init(&keys);
}

static void
teardown(void)
{
	keys_fini(&keys);
}

TestSuite(keys, .init = setup, .fini = teardown);

static enum gate_fault
add(size_t first, const char *text)
{
	struct key key = {
		.text = text,
		.len = (uint32_t)strlen(text),
		.escaped = strchr(text, '\\') != NULL,
	};

	return keys_add(&keys, first, &key);
}

Test(keys, the_same_name_twice_is_a_duplicate)
{
	cr_expect_eq(add(0, "a"), GATE_OK);
	cr_expect_eq(add(0, "b"), GATE_OK);
	cr_expect_eq(add(0, "a"), GATE_DUPLICATE);
	cr_expect_eq(add(0, "\\u0062"), GATE_DUPLICATE);
	cr_expect_null(keys_close(&keys, 0));
	cr_expect_eq(keys.count, 0);
}

Test(keys, names_with_the_same_beginning_differ)
{
	cr_expect_eq(add(0, "eight_by"), GATE_OK);
	cr_expect_eq(add(0, "eight_byt"), GATE_OK);
	cr_expect_eq(add(0, "eight_byu"), GATE_OK);
	cr_expect_eq(add(0, "eight_b\\u0079te"), GATE_OK);
	cr_expect_eq(add(0, "eight_byte"), GATE_DUPLICATE);
	cr_expect_eq(add(0, "eight_b"), GATE_OK);
	cr_expect_eq(add(0, "eight_b\\t"), GATE_OK);
	cr_expect_eq(add(0, "eight_b\\\\t"), GATE_OK);
}

Test(keys, an_inner_object_has_its_own_names)
{
	cr_expect_eq(add(0, "a"), GATE_OK);
	cr_expect_eq(add(1, "a"), GATE_OK);
	cr_expect_eq(add(1, "a"), GATE_DUPLICATE);
	cr_expect_null(keys_close(&keys, 1));
	cr_expect_eq(keys.count, 1);
	cr_expect_eq(add(0, "a"), GATE_DUPLICATE);
}

Test(keys, many_names_are_compared_at_the_end)
{
	static char names[300][16];
	const char *again = "n\\u0030";
	const char *found;

	for (int i = 0; i < 300; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "n%d", i * 7 % 300);
		cr_expect_eq(add(0, names[i]), GATE_OK);
	}
	cr_expect_null(keys_close(&keys, 0));
	for (int i = 0; i < 300; i++)
		cr_expect_eq(add(0, names[i]), GATE_OK);
	cr_expect_eq(add(0, again), GATE_OK);
	found = keys_close(&keys, 0);
	cr_expect(found == again || found == names[0]);
	cr_expect_eq(keys.count, 0);
}
