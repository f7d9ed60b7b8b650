/*
 * test_inflight.c - the calls in hand survive the death of their worker.
 */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "journal/inflight.h"

static struct call_row
row_of(const char *model)
{
	struct call_row row = {
		.kind = "chat.completion",
		.provider = "openai",
		.model = model,
		.upstream_model = "up",
		.status = "running",
		.prompt_tokens = -1,
		.request_id = "req-1",
		.metadata = "{\"a\":1}",
		.request_text = "{\"messages\":[]}",
		.response_text = "not copied",
		.started_us = 1000,
		.stream = true,
	};

	row.id.bytes[0] = 7;
	return row;
}

struct seen {
	int count;
	char text[64 * 1024];
	char model[512];
	char request[4096];
	char metadata[64];
	char status[32];
};

static void
see(void *arg, const struct call_row *row)
{
	struct seen *seen = arg;

	seen->count++;
	cr_expect_eq(row->id.bytes[0], 7);
	cr_expect(row->key_id == NULL);
	cr_expect(row->stream);
	snprintf(seen->text, sizeof(seen->text), "%s", row->response_text);
	snprintf(seen->model, sizeof(seen->model), "%s", row->model);
	snprintf(seen->request, sizeof(seen->request), "%s", row->request_text);
	snprintf(seen->metadata, sizeof(seen->metadata), "%s",
	    row->metadata == NULL ? "-" : row->metadata);
	snprintf(seen->status, sizeof(seen->status), "%s", row->status);
}

Test(inflight, a_call_whose_worker_died_is_found_with_its_text)
{
	struct inflight *table = inflight_map(NULL, 0, 4);
	static struct seen seen;
	pid_t worker = fork();

	if (worker == 0) {
		struct call_row row = row_of("gpt");
		struct inflight_slot *slot = inflight_enter(table, &row);

		inflight_text(slot, "half an ", 8);
		inflight_text(slot, "answer", 6);
		abort();
	}
	waitpid(worker, NULL, 0);
	cr_expect_eq(inflight_count(table), 1);
	inflight_each(table, see, &seen);
	inflight_each(table, see, &seen);
	cr_expect_eq(seen.count, 2, "reading changes nothing");
	cr_expect_str_eq(seen.text, "half an answer");
	cr_expect_str_eq(seen.model, "gpt");
	cr_expect_str_eq(seen.request, "{\"messages\":[]}");
	cr_expect_str_eq(seen.metadata, "{\"a\":1}");
	cr_expect_str_eq(seen.status, "interrupted");
	inflight_empty(table);
	cr_expect_eq(inflight_count(table), 0);
	inflight_each(table, see, &seen);
	cr_expect_eq(seen.count, 2);
	inflight_unmap(table);
}

Test(inflight, places_are_used_again_and_never_more_than_there_are)
{
	struct inflight *table = inflight_map(NULL, 0, 2);
	struct call_row row = row_of("m");
	struct inflight_slot *a, *b;

	for (int i = 0; i < 100; i++) {
		a = inflight_enter(table, &row);
		b = inflight_enter(table, &row);
		cr_assert(a != NULL && b != NULL && a != b);
		cr_assert(inflight_enter(table, &row) == NULL);
		cr_assert_eq(inflight_count(table), 2);
		inflight_text(a, "x", 1);
		inflight_leave(table, i % 2 == 0 ? a : b);
		inflight_leave(table, i % 2 == 0 ? b : a);
	}
	cr_expect_eq(inflight_count(table), 0);
	inflight_unmap(table);
}

Test(inflight, long_texts_are_cut_between_characters)
{
	struct inflight *table = inflight_map(NULL, 0, 1);
	static struct seen seen;
	static char text[3 * INFLIGHT_TEXT_MAX + 1];
	char model[400], metadata[500];
	struct call_row row = row_of(model);
	struct inflight_slot *slot;

	for (size_t i = 0; i + 3 <= sizeof(text); i += 3)
		memcpy(text + i, "\xe2\x82\xac", 3);
	memset(model, 'm', sizeof(model) - 1);
	model[sizeof(model) - 1] = '\0';
	memset(metadata, ' ', sizeof(metadata) - 1);
	metadata[sizeof(metadata) - 1] = '\0';
	row.request_text = text;
	row.metadata = metadata;
	slot = inflight_enter(table, &row);
	for (size_t i = 0; i < sizeof(text) - 1; i += 999)
		inflight_text(slot, text, 999);
	inflight_each(table, see, &seen);
	cr_expect_eq(strlen(seen.text), INFLIGHT_TEXT_MAX / 3 * 3);
	cr_expect_eq(strlen(seen.request), 2046);
	cr_expect_eq(strlen(seen.model), 256);
	cr_expect_str_eq(seen.metadata, "-", "cut JSON would be no JSON");
	inflight_leave(table, slot);
	slot = inflight_enter(table, &row);
	inflight_each(table, see, &seen);
	cr_expect_str_eq(seen.text, "");
	inflight_unmap(table);
}

Test(inflight, every_part_at_its_longest_fits)
{
	struct inflight *table = inflight_map(NULL, 0, 1);
	static struct seen seen;
	static char text[INFLIGHT_TEXT_MAX + 10];
	struct call_row row = row_of(text);
	struct inflight_slot *slot;

	memset(text, 'x', sizeof(text) - 1);
	row.kind = row.provider = row.upstream_model = text;
	row.end_user = row.environment = row.source = row.request_id = text;
	row.chat_id = row.session_id = row.request_text = text;
	row.metadata = NULL;
	slot = inflight_enter(table, &row);
	inflight_text(slot, text, sizeof(text) - 1);
	inflight_each(table, see, &seen);
	cr_expect_eq(strlen(seen.text), INFLIGHT_TEXT_MAX);
	cr_expect_gt(strlen(seen.request), 500);
	inflight_unmap(table);
}

static char *
make_dir_in(const char *base)
{
	char *dir = NULL;

	cr_assert_geq(asprintf(&dir, "%s/inflight.XXXXXX", base), 0);
	cr_assert(mkdtemp(dir) != NULL);
	return dir;
}

static char *
make_dir(void)
{
	return make_dir_in("/tmp");
}

static void
remove_dir(char *dir)
{
	static const char *const names[] = { "inflight.3", "inflight.3.other" };
	char path[64];

	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	cr_expect_eq(rmdir(dir), 0);
	free(dir);
}

Test(inflight, a_file_outlives_every_process)
{
	char *dir = make_dir();
	char path[64];
	static struct seen seen;
	struct call_row row = row_of("m");
	struct inflight *table = inflight_map(dir, 3, 4);
	struct stat st;

	cr_assert(table != NULL);
	inflight_text(inflight_enter(table, &row), "so far", 6);
	inflight_unmap(table);
	snprintf(path, sizeof(path), "%s/inflight.3", dir);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_mode & 0777, 0600);
	/* Another STREAMS_MAX loses nothing. */
	table = inflight_map(dir, 3, 8);
	cr_assert(table != NULL);
	cr_expect_eq(inflight_count(table), 1);
	inflight_each(table, see, &seen);
	cr_expect_str_eq(seen.text, "so far");
	inflight_empty(table);
	inflight_unmap(table);
	table = inflight_map(dir, 3, 8);
	for (int i = 0; i < 8; i++)
		cr_expect(inflight_enter(table, &row) != NULL);
	cr_expect(inflight_enter(table, &row) == NULL);
	inflight_unmap(table);
	remove_dir(dir);
}

Test(inflight, a_life_lasts_from_its_start_to_its_clean_end)
{
	struct inflight *table = inflight_map(NULL, 0, 2);
	struct uuid life, found;

	cr_assert_eq(uuid_make(&life), OK);
	cr_expect_not(inflight_is_left(table));
	cr_expect_not(inflight_life(table, &found));
	inflight_begin(table, &life);
	cr_expect(inflight_is_left(table));
	cr_expect(inflight_life(table, &found));
	cr_expect(uuid_equal(&life, &found));
	inflight_end(table);
	cr_expect_not(inflight_is_left(table));
	inflight_begin(table, &life);
	inflight_empty(table);
	cr_expect(inflight_is_left(table), "it may hold keys still");
	inflight_unmap(table);
}

static void
see_figures(void *arg, const struct call_row *row)
{
	*(struct call_row *)arg = *row;
}

Test(inflight, what_a_call_used_is_found_with_it)
{
	struct inflight *table = inflight_map(NULL, 0, 1);
	static char text[2 * INFLIGHT_TEXT_MAX];
	struct call_row row = row_of("m");
	struct call_row found;
	struct inflight_slot *slot;

	memset(text, 'x', sizeof(text));
	row.prompt_tokens = 5;
	row.completion_tokens = -1;
	row.answer_pico = 7;
	row.cost_pico = 50;
	slot = inflight_enter(table, &row);
	inflight_text(slot, text, sizeof(text));
	inflight_generated(slot, 3 * INFLIGHT_TEXT_MAX);
	inflight_each(table, see_figures, &found);
	cr_expect_eq(found.answer_pico, 7);
	cr_expect_eq(found.answer_chars, 3 * INFLIGHT_TEXT_MAX,
	    "also what is not kept");
	cr_expect_eq(found.completion_tokens, -1);
	row.prompt_tokens = 6;
	row.completion_tokens = 9;
	row.cost_pico = 100;
	inflight_used(slot, &row);
	inflight_each(table, see_figures, &found);
	cr_expect_eq(found.prompt_tokens, 6);
	cr_expect_eq(found.completion_tokens, 9);
	cr_expect_eq(found.cost_pico, 100);
	inflight_unmap(table);
}

/* As the next supervisor does while an old worker drains. */
Test(inflight, a_file_in_use_is_mapped_as_it_is)
{
	char *dir = make_dir();
	struct call_row row = row_of("m");
	struct inflight *old = inflight_map(dir, 3, 4);
	struct inflight *new;
	struct inflight_slot *slot;
	static struct seen seen;
	struct uuid life;

	cr_assert_eq(uuid_make(&life), OK);
	inflight_begin(old, &life);
	new = inflight_map(dir, 3, 8); /* another STREAMS_MAX */
	cr_assert(new != NULL &&old != NULL);
	slot = inflight_enter(old, &row);
	cr_assert_not_null(slot);
	inflight_text(slot, "so far", 6);
	inflight_each(new, see, &seen);
	cr_expect_eq(seen.count, 1);
	cr_expect_str_eq(seen.text, "so far");
	inflight_leave(old, slot);
	inflight_end(old);
	cr_expect_not(inflight_is_left(new));
	inflight_unmap(new);
	inflight_unmap(old);
	remove_dir(dir);
}

Test(inflight, memory_is_given_back_when_a_call_ends)
{
	static char text[INFLIGHT_TEXT_MAX];
	char *dir = make_dir_in("/dev/shm");
	struct call_row row = row_of("m");
	struct inflight *table = inflight_map(dir, 3, 4);
	struct inflight_slot *slot;
	static struct seen seen;
	char path[64];
	struct stat before, with, after;

	memset(text, 'x', sizeof(text));
	snprintf(path, sizeof(path), "%s/inflight.3", dir);
	slot = inflight_enter(table, &row);
	cr_assert_eq(stat(path, &before), 0);
	for (int turn = 0; turn < 3; turn++) {
		for (size_t at = 0; at < sizeof(text); at += 1000)
			inflight_text(slot, text, 1000);
		cr_assert_eq(stat(path, &with), 0);
		cr_expect_geq(with.st_blocks - before.st_blocks,
		    INFLIGHT_TEXT_MAX / 512 - 8);
		inflight_each(table, see, &seen);
		cr_expect_eq(strlen(seen.text), INFLIGHT_TEXT_MAX);
		inflight_leave(table, slot);
		cr_assert_eq(stat(path, &after), 0);
		cr_expect_eq(after.st_blocks, before.st_blocks);
		slot = inflight_enter(table, &row);
	}
	inflight_unmap(table);
	remove_dir(dir);
}

Test(inflight, a_file_of_something_else_is_kept_beside)
{
	char *dir = make_dir();
	char path[64];
	struct inflight *table;
	struct stat st;
	FILE *file;

	snprintf(path, sizeof(path), "%s/inflight.3", dir);
	file = fopen(path, "w");
	fputs("something else", file);
	fclose(file);
	table = inflight_map(dir, 3, 4);
	cr_assert(table != NULL);
	cr_expect_eq(inflight_count(table), 0);
	inflight_unmap(table);
	snprintf(path, sizeof(path), "%s/inflight.3.other", dir);
	cr_expect_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_size, 14);
	remove_dir(dir);
}

static void
see_times(void *arg, const struct call_row *row)
{
	int *count = arg;

	(*count)++;
	cr_expect_eq(row->latency_us, 0);
	cr_expect_eq(row->finished_us, row->started_us);
}

Test(inflight, a_call_does_not_end_before_it_began_when_the_clock_was_set_back)
{
	struct inflight *table = inflight_map(NULL, 0, 4);
	struct call_row row = row_of("m");
	int count = 0;

	row.started_us = clock_wall_us() + 3600000000;
	cr_assert_not_null(inflight_enter(table, &row));
	inflight_each(table, see_times, &count);
	cr_expect_eq(count, 1);
	inflight_unmap(table);
}

Test(inflight, no_directory_no_table)
{
	cr_expect(inflight_map("/nonexistent", 0, 4) == NULL);
	cr_expect(inflight_map(NULL, 0, 0) == NULL);
	inflight_unmap(NULL);
}
