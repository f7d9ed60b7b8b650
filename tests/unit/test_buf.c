/*
 * test_buf.c - growing bytes with a ceiling.
 */
#include <criterion/criterion.h>
#include <stdint.h>

#include "base/buf.h"
#include "failing.h"

Test(buf, appends_come_out_in_order)
{
	struct buf buf;
	char *text;
	size_t len;

	buf_init(&buf, 100);
	cr_expect_str_eq(buf_str(&buf), "");
	buf_adds(&buf, "one ");
	buf_add(&buf, "two!", 3);
	buf_addc(&buf, ' ');
	buf_addf(&buf, "%d%s", 3, "rd");
	cr_expect(buf_ok(&buf));
	cr_expect_str_eq(buf_str(&buf), "one two 3rd");
	cr_assert_eq(buf_take(&buf, &text, &len), OK);
	cr_expect_str_eq(text, "one two 3rd");
	cr_expect_eq(len, 11);
	cr_expect_eq(buf.len, 0, "the buffer is empty after");
	cr_expect_str_eq(buf_str(&buf), "");
	free(text);
	buf_adds(&buf, "again");
	cr_expect_str_eq(buf_str(&buf), "again");
	buf_fini(&buf);
}

Test(buf, room_is_for_the_caller_to_fill)
{
	struct buf buf;
	char *at;

	buf_init(&buf, 5);
	buf_adds(&buf, "ab");
	at = buf_extend(&buf, 3);
	cr_assert_not_null(at);
	memcpy(at, "cde", 3);
	cr_expect_str_eq(buf_str(&buf), "abcde");
	cr_expect_null(buf_extend(&buf, 1));
	cr_expect_not(buf_ok(&buf));
	cr_expect_eq(buf.len, 5);
	buf_fini(&buf);
}

Test(buf, an_empty_one_is_taken_as_an_empty_text)
{
	struct buf buf;
	char *text;

	buf_init(&buf, 0);
	cr_assert_eq(buf_take(&buf, &text, NULL), OK);
	cr_expect_str_eq(text, "");
	free(text);
}

Test(buf, the_ceiling_is_exact)
{
	struct buf buf;

	buf_init(&buf, 1000);
	for (int i = 0; i < 1000; i++)
		buf_addc(&buf, 'x');
	cr_expect(buf_ok(&buf));
	cr_expect_eq(buf.len, 1000);
	buf_add(&buf, NULL, 0);
	cr_expect(buf_ok(&buf), "nothing fits where nothing is left");
	buf_addc(&buf, 'x');
	cr_expect_not(buf_ok(&buf));
	buf_fini(&buf);
}

Test(buf, one_overflow_poisons_every_later_append)
{
	struct buf buf;
	char *text = NULL;
	size_t len = 9;

	buf_init(&buf, 8);
	buf_adds(&buf, "1234");
	buf_adds(&buf, "56789");
	cr_expect_not(buf_ok(&buf));
	buf_addc(&buf, 'x');
	buf_addf(&buf, "%d", 1);
	buf_add(&buf, "y", 1);
	cr_expect_str_eq(buf_str(&buf), "1234", "none of it was added");
	cr_expect_eq(buf_take(&buf, &text, &len), ERR_TOO_LARGE);
	cr_expect_null(text);
	cr_expect_eq(len, 0);
	buf_reset(&buf);
	cr_expect(buf_ok(&buf));
	cr_expect_str_eq(buf_str(&buf), "");
	buf_addf(&buf, "%s", "12345678");
	cr_expect(buf_ok(&buf));
	buf_fini(&buf);
	cr_expect(buf_ok(&buf));
	buf_adds(&buf, "good");
	cr_expect_str_eq(buf_str(&buf), "good", "usable after fini");
	buf_fini(&buf);
}

Test(buf, want_of_memory_is_told_from_the_ceiling)
{
	struct buf buf;
	char *text;

	buf_init(&buf, SIZE_MAX);
	buf_adds(&buf, "kept");
	for (int i = 0; i < 300; i++) {
		if (i == 200)
			failing_after(0);
		buf_addc(&buf, 'x');
	}
	cr_expect(failing_stop());
	cr_expect_not(buf_ok(&buf));
	cr_expect_eq(buf_take(&buf, &text, NULL), ERR_MEMORY);
	cr_expect_null(text);
	cr_expect_eq(strncmp(buf_str(&buf), "keptxx", 6), 0);
	buf_reset(&buf);
	buf_adds(&buf, "fine");
	cr_expect_eq(buf_take(&buf, &text, NULL), OK);
	free(text);
}

Test(buf, want_of_memory_at_the_first_byte)
{
	struct buf buf;

	buf_init(&buf, 100);
	failing_after(0);
	buf_addf(&buf, "%d", 5);
	cr_expect(failing_stop());
	cr_expect_not(buf_ok(&buf));
	cr_expect_str_eq(buf_str(&buf), "");
	buf_fini(&buf);
}

Test(buf, sizes_do_not_wrap_around)
{
	struct buf buf;
	volatile size_t most = SIZE_MAX;

	buf_init(&buf, SIZE_MAX);
	buf_adds(&buf, "a");
	buf_add(&buf, "b", most);
	cr_expect_not(buf_ok(&buf));
	buf_reset(&buf);
	failing_after(0); /* so large a request is never passed on */
	buf_add(&buf, "b", most - 1);
	cr_expect(failing_stop());
	cr_expect_not(buf_ok(&buf));
	buf_fini(&buf);
}

Test(buf, the_front_can_be_dropped)
{
	struct buf buf;

	buf_init(&buf, 100);
	buf_drop_front(&buf, 3);
	buf_adds(&buf, "0123456789");
	buf_drop_front(&buf, 0);
	cr_expect_str_eq(buf_str(&buf), "0123456789");
	buf_drop_front(&buf, 4);
	cr_expect_str_eq(buf_str(&buf), "456789");
	cr_expect_eq(buf.len, 6);
	buf_drop_front(&buf, 7);
	cr_expect_str_eq(buf_str(&buf), "");
	cr_expect_eq(buf.len, 0);
	buf_fini(&buf);
}

Test(buf, bytes_may_be_nul)
{
	struct buf buf;

	buf_init(&buf, 100);
	buf_add(&buf, "a\0b", 3);
	cr_expect_eq(buf.len, 3);
	cr_expect_eq(memcmp(buf.data, "a\0b\0", 4), 0);
	buf_fini(&buf);
}
