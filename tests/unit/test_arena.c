/*
 * test_arena.c - memory that lives as long as one request.
 */
#include <criterion/criterion.h>
#include <stdint.h>

#include "base/arena.h"
#include "failing.h"

static char order[8];

static void
note(void *arg)
{
	const char *letter = arg;
	size_t len = strlen(order);

	order[len] = *letter;
	order[len + 1] = '\0';
}

Test(arena, every_piece_is_zeroed_aligned_and_apart)
{
	struct arena *arena = arena_new();
	unsigned char *piece;

	cr_assert_not_null(arena);
	for (size_t len = 0; len < 9000; len += 7) {
		piece = arena_alloc(arena, len);
		cr_assert_not_null(piece);
		cr_assert_eq((uintptr_t)piece % 16, 0);
		for (size_t i = 0; i < len; i++)
			cr_assert_eq(piece[i], 0, "byte %zu of %zu", i, len);
		memset(piece, 0xff, len);
	}
	arena_free(arena);
}

Test(arena, copies_are_whole_and_end_in_nul)
{
	struct arena *arena = arena_new();
	char large[20000];

	cr_expect_str_eq(arena_strdup(arena, "minutes"), "minutes");
	cr_expect_str_eq(arena_strdup(arena, ""), "");
	cr_expect_str_eq(arena_strndup(arena, "minutes", 3), "min");
	cr_expect_str_eq(arena_printf(arena, "%d of %s", 7, "x"), "7 of x");
	memset(large, 'y', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	cr_expect_str_eq(arena_printf(arena, "%s", large), large);
	arena_free(arena);
}

Test(arena, null_goes_through_a_chain)
{
	struct arena *arena = arena_new();

	cr_expect_null(arena_alloc(NULL, 1));
	cr_expect_null(arena_strdup(NULL, "a"));
	cr_expect_null(arena_strdup(arena, NULL));
	cr_expect_null(arena_strndup(arena, NULL, 3));
	cr_expect_null(arena_strndup(NULL, "a", 1));
	cr_expect_null(arena_printf(NULL, "a"));
	cr_expect_eq(arena_on_free(NULL, note, order), ERR_MEMORY);
	cr_expect_eq(arena_on_free(arena, note, NULL), ERR_MEMORY);
	arena_free(arena);
	arena_free(NULL);
	cr_expect_str_eq(order, "", "nothing was registered");
}

Test(arena, clean_ups_run_last_registered_first)
{
	struct arena *arena = arena_new();

	cr_assert_eq(arena_on_free(arena, note, arena_strdup(arena, "a")), OK);
	cr_assert_eq(arena_on_free(arena, note, arena_strdup(arena, "b")), OK);
	cr_assert_eq(arena_on_free(arena, note, arena_strdup(arena, "c")), OK);
	cr_expect_str_eq(order, "");
	arena_free(arena);
	cr_expect_str_eq(order, "cba");
}

Test(arena, impossible_sizes_are_refused)
{
	struct arena *arena = arena_new();
	volatile size_t all = SIZE_MAX;

	cr_expect_null(arena_alloc(arena, all));
	cr_expect_null(arena_alloc(arena, all - 8));
	cr_expect_null(arena_strndup(arena, "a", all));
	arena_free(arena);
}

Test(arena, want_of_memory_is_null_and_the_rest_stays_good)
{
	struct arena *arena;
	char *kept;

	failing_after(0);
	arena = arena_new();
	cr_expect(failing_stop());
	cr_expect_null(arena);

	arena = arena_new();
	kept = arena_strdup(arena, "kept");
	cr_assert_not_null(arena_alloc(arena, 3500));
	failing_after(0);
	cr_expect_null(arena_alloc(arena, 1000), "a second chunk");
	cr_expect_null(arena_alloc(arena, 5000), "a chunk of its own");
	cr_expect(failing_stop());
	failing_after(0);
	while (arena_alloc(arena, 16) != NULL)
		continue;
	cr_expect_eq(arena_on_free(arena, note, kept), ERR_MEMORY);
	(void)failing_stop();
	cr_expect_str_eq(kept, "kept");
	arena_free(arena);
	cr_expect_str_eq(order, "");
}
