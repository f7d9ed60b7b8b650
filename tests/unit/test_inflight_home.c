/*
 * test_inflight_home.c - calls in hand are kept in memory, and in no place that
 * somebody else has prepared.
 */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "journal/inflight.h"

#define TABLES 4

struct bench {
	char spool[64], memory[64];
	struct inflight_place place;
	struct buf home;
};

static void
start(struct bench *bench)
{
	log_setup(LOG_ERROR, "test");
	snprintf(bench->spool, sizeof(bench->spool), "/tmp/home.XXXXXX");
	snprintf(bench->memory, sizeof(bench->memory), "/dev/shm/home.XXXXXX");
	cr_assert(mkdtemp(bench->spool) != NULL);
	cr_assert(mkdtemp(bench->memory) != NULL);
	bench->place = (struct inflight_place){ .spool_dir = bench->spool,
		.memory_dir = bench->memory,
		.tables = TABLES,
		.calls = 4 };
	buf_init(&bench->home, 4096);
}

static const char *
home(struct bench *bench)
{
	buf_reset(&bench->home);
	cr_assert_eq(inflight_home(&bench->place, &bench->home), OK);
	return bench->home.data;
}

static void
stop(struct bench *bench)
{
	char command[256];

	snprintf(command, sizeof(command), "rm -rf %s %s", bench->spool,
	    bench->memory);
	cr_expect_eq(system(command), 0);
	buf_fini(&bench->home);
}

static bool
is_in_memory(struct bench *bench)
{
	const char *found = home(bench);

	if (strcmp(found, bench->spool) == 0)
		return false;
	cr_expect_eq(strncmp(found, bench->memory, strlen(bench->memory)), 0);
	return true;
}

static void
leave_a_call(const char *dir)
{
	struct call_row row = { .kind = "test", .status = "running" };
	struct inflight *table = inflight_map(dir, 1, 4);

	cr_assert_not_null(table);
	cr_assert_not_null(inflight_enter(table, &row));
	inflight_unmap(table);
}

static void
take_the_call(const char *dir)
{
	struct inflight *table = inflight_map(dir, 1, 4);

	cr_assert_eq(inflight_count(table), 1);
	inflight_empty(table);
	inflight_unmap(table);
}

Test(inflight_home, it_is_the_same_for_the_next_start_and_of_the_user_alone)
{
	struct bench bench;
	char first[128];
	struct stat st;

	start(&bench);
	cr_assert(is_in_memory(&bench));
	snprintf(first, sizeof(first), "%s", bench.home.data);
	cr_assert_eq(stat(first, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0700);
	cr_expect_str_eq(home(&bench), first);
	stop(&bench);
}

Test(inflight_home, another_spool_has_another_one)
{
	struct bench a, b;

	start(&a);
	start(&b);
	b.place.memory_dir = a.memory;
	cr_expect_str_neq(home(&a), home(&b));
	stop(&a);
	stop(&b);
}

Test(inflight_home, it_is_removed_at_the_end_unless_calls_are_left)
{
	struct bench bench;

	start(&bench);
	leave_a_call(home(&bench));
	inflight_leave_home(&bench.place, bench.home.data);
	cr_expect_eq(access(bench.home.data, F_OK), 0);
	take_the_call(bench.home.data);
	inflight_leave_home(&bench.place, bench.home.data);
	cr_expect_neq(access(bench.home.data, F_OK), 0);
	stop(&bench);
}

Test(inflight_home, the_spool_is_never_removed)
{
	struct bench bench;

	start(&bench);
	inflight_leave_home(&bench.place, bench.spool);
	cr_expect_eq(access(bench.spool, F_OK), 0);
	stop(&bench);
}

Test(inflight_home, a_link_that_was_planted_is_not_followed)
{
	struct bench bench;
	char target[128];

	start(&bench);
	cr_assert(is_in_memory(&bench));
	inflight_leave_home(&bench.place, bench.home.data);
	snprintf(target, sizeof(target), "%s/target", bench.memory);
	cr_assert_eq(mkdir(target, 0700), 0);
	cr_assert_eq(symlink(target, bench.home.data), 0);
	cr_expect_not(is_in_memory(&bench));
	cr_expect_eq(rmdir(target), 0, "nothing was put there");
	stop(&bench);
}

Test(inflight_home, a_folder_that_others_may_enter_is_not_used)
{
	struct bench bench;

	start(&bench);
	cr_assert(is_in_memory(&bench));
	cr_assert_eq(chmod(bench.home.data, 0750), 0);
	cr_expect_not(is_in_memory(&bench));
	stop(&bench);
}

Test(inflight_home, a_folder_of_another_user_is_not_used)
{
	struct bench bench;

	start(&bench);
	cr_assert(is_in_memory(&bench));
	if (geteuid() != 0)
		cr_skip_test("needs root");
	cr_assert_eq(chown(bench.home.data, 12345, 12345), 0);
	cr_expect_not(is_in_memory(&bench));
	stop(&bench);
}

Test(inflight_home, a_folder_of_another_spool_is_not_used)
{
	struct bench bench;
	char of[160];

	start(&bench);
	cr_assert(is_in_memory(&bench));
	snprintf(of, sizeof(of), "%s/of", bench.home.data);
	cr_assert_eq(unlink(of), 0);
	cr_assert_eq(symlink("/somewhere/else", of), 0);
	cr_expect_not(is_in_memory(&bench));
	stop(&bench);
}

Test(inflight_home, a_place_where_others_can_take_it_away_is_not_used)
{
	struct bench bench;

	start(&bench);
	cr_assert_eq(chmod(bench.memory, 0777), 0);
	cr_expect_not(is_in_memory(&bench));
	cr_assert_eq(chmod(bench.memory, 01777), 0);
	cr_expect(is_in_memory(&bench));
	stop(&bench);
}

Test(inflight_home, without_memory_or_room_it_is_the_spool)
{
	struct bench bench;

	start(&bench);
	bench.place.memory_dir = "/nonexistent";
	cr_expect_not(is_in_memory(&bench));
	bench.place.memory_dir = "/proc";
	cr_expect_not(is_in_memory(&bench));
	bench.place.memory_dir = bench.memory;
	bench.place.calls = (size_t)1 << 40;
	cr_expect_not(is_in_memory(&bench));
	bench.place.spool_dir = "/nonexistent";
	cr_expect_eq(inflight_home(&bench.place, &bench.home), ERR_SYSTEM);
	stop(&bench);
}

Test(inflight_home, calls_that_were_left_in_the_spool_are_not_left_behind)
{
	struct bench bench;
	char path[128];

	start(&bench);
	leave_a_call(bench.spool);
	cr_expect_not(is_in_memory(&bench));
	take_the_call(bench.spool);
	cr_expect(is_in_memory(&bench));
	snprintf(path, sizeof(path), "%s/inflight.1", bench.spool);
	cr_expect_neq(access(path, F_OK), 0, "the empty file is gone");
	stop(&bench);
}
