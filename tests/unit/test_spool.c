/*
 * test_spool.c - records on the local disk: slots, ceilings, failing disks.
 *
 * This program's own fdatasync(), fallocate(), openat() and read() stand in for
 * the disk.
 */
#include "journal/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "journal/segment.h"

#define MIB ((uint64_t)1024 * 1024)

static char dir[64];
static int failing_syncs; /* the next so many fail with EIO */
static bool no_room;      /* nothing can be reserved */
static bool no_probe;     /* nor a file made to try the disk with */
static bool bad_records;  /* only the headers of segments can be read */

int
fdatasync(int fd)
{
	if (failing_syncs > 0) {
		failing_syncs--;
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

int
fallocate(int fd, int mode, off_t offset, off_t len)
{
	if (no_room) {
		errno = ENOSPC;
		return -1;
	}
	return (int)syscall(SYS_fallocate, fd, mode, offset, len);
}

int
openat(int at_fd, const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list args;

	if (no_probe && strcmp(path, "probe") == 0) {
		errno = ENOSPC;
		return -1;
	}
	va_start(args, flags);
	if ((flags & O_CREAT) != 0)
		mode = va_arg(args, mode_t);
	va_end(args);
	return (int)syscall(SYS_openat, at_fd, path, flags, mode);
}

ssize_t
read(int fd, void *bytes, size_t len)
{
	if (bad_records && len > SEGMENT_HEADER_SIZE) {
		errno = EIO;
		return -1;
	}
	return syscall(SYS_read, fd, bytes, len);
}

static void
start(void)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/minuted-spool-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	failing_syncs = 0;
	no_room = false;
	no_probe = false;
	bad_records = false;
}

static int
unlink_it(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

static void
stop(void)
{
	(void)nftw(dir, unlink_it, 8, FTW_DEPTH | FTW_PHYS);
}

TestSuite(spool, .init = start, .fini = stop);

static struct spool *
open_slot(int slot, uint64_t max)
{
	struct spool *spool = NULL;

	cr_assert_eq(spool_open(&(struct spool_options){ .dir = dir,
				    .slot = slot,
				    .bytes_max = max },
			 &spool),
	    OK);
	return spool;
}

static enum err
append(struct spool *spool, uint8_t number, size_t count)
{
	struct record_view records[8];

	for (size_t i = 0; i < count; i++)
		records[i] = (struct record_view){ .kind = RECORD_CALL,
			.id = { { number++ } },
			.line = "line\n",
			.len = 5 };
	return spool_append(spool, records, count);
}

static enum err
add(void *arg, const struct record_view *record)
{
	char *seen = arg;

	seen[strlen(seen)] = (char)('a' + record->id.bytes[0]);
	return OK;
}

/* Delivers and removes everything; the records in order, as letters. */
static void
expect_delivered(struct spool *spool, const char *letters)
{
	char seen[64] = "";
	const struct segment_visitor visitor = { .record = add, .arg = seen };
	struct segment_report report;
	char name[SLOT_NAME_SIZE];

	spool_seal(spool);
	while (spool_oldest(spool, name) == OK) {
		cr_assert_eq(segment_read(spool_dir_fd(spool), name, &visitor,
				 &report),
		    OK);
		cr_assert_eq(spool_remove(spool, name), OK);
	}
	cr_expect_str_eq(seen, letters);
	cr_expect(spool_is_empty(spool));
}

Test(spool, groups_come_back_in_order)
{
	struct spool *spool = open_slot(0, MIB);
	char name[SLOT_NAME_SIZE];

	cr_expect(spool_is_empty(spool));
	cr_expect_eq(append(spool, 0, 3), OK);
	cr_expect_not(spool_is_empty(spool));
	cr_expect_eq(spool_oldest(spool, name), ERR_MISSING, "being written");
	spool_seal(spool);
	cr_expect_eq(append(spool, 3, 1), OK);
	cr_expect_eq(append(spool, 4, 2), OK);
	expect_delivered(spool, "abcdef");
	cr_expect_eq(spool_bytes(spool), 0);
	spool_close(spool);
}

Test(spool, a_restart_finds_what_was_left)
{
	struct spool *spool = open_slot(0, MIB);

	cr_expect_eq(append(spool, 0, 2), OK);
	spool_close(spool);
	spool = open_slot(0, MIB);
	cr_expect_gt(spool_bytes(spool), 0);
	cr_expect_eq(append(spool, 2, 1), OK);
	expect_delivered(spool, "abc");
	spool_close(spool);
}

Test(spool, a_slot_has_one_owner)
{
	struct spool *spool = open_slot(3, MIB);
	struct spool *other = NULL;

	cr_expect_eq(spool_open(&(struct spool_options){ .dir = dir,
				    .slot = 3,
				    .bytes_max = MIB },
			 &other),
	    ERR_CONFLICT);
	cr_expect_null(other);
	spool_close(spool);
	spool_close(open_slot(3, MIB));
	spool_close(NULL);
}

Test(spool, a_full_one_takes_nothing_and_keeps_what_it_has)
{
	struct spool *spool = open_slot(0, 330);

	cr_expect_eq(append(spool, 0, 3), OK);
	cr_expect(spool_has_place(spool));
	cr_expect_eq(append(spool, 3, 3), OK);
	cr_expect_not(spool_has_place(spool), "the reserve is reached first");
	cr_expect_eq(append(spool, 6, 3), ERR_BUSY);
	cr_expect_not(spool_is_failing(spool));
	expect_delivered(spool, "abcdef");
	cr_expect(spool_has_place(spool));
	cr_expect_eq(append(spool, 6, 3), OK);
	spool_close(spool);
}

Test(spool, the_ceiling_holds_for_all_slots_together)
{
	struct spool *one = open_slot(1, 400);
	struct spool *two;
	size_t moved = 0;

	cr_expect_eq(append(one, 0, 8), OK);
	two = open_slot(2, 400);
	cr_expect_eq(append(two, 0, 1), ERR_BUSY);
	expect_delivered(one, "abcdefgh");
	spool_adopt(two, &moved);
	cr_expect_eq(append(two, 0, 1), OK);
	spool_close(one);
	spool_close(two);
}

Test(spool, an_end_that_is_owed_passes_the_ceiling)
{
	const struct record_view end = { .kind = RECORD_CALL,
		.id = { { 8 } },
		.line = "line\n",
		.len = 5,
		.owed = true };
	struct spool *spool = open_slot(0, 400);

	cr_expect_eq(append(spool, 0, 8), OK);
	cr_expect_eq(append(spool, 9, 1), ERR_BUSY);
	cr_expect_eq(spool_append(spool, &end, 1), OK);
	cr_expect_gt(spool_bytes(spool), 400);
	cr_expect_not(spool_has_place(spool), "for what is new");
	cr_expect_eq(append(spool, 9, 1), ERR_BUSY);
	expect_delivered(spool, "abcdefghi");
	cr_expect(spool_has_place(spool));
	spool_close(spool);
}

Test(spool, workers_of_one_board_count_together_at_once)
{
	struct spool_board board = { 0 };
	struct spool_options options = {
		.dir = dir, .bytes_max = 400, .board = &board
	};
	struct spool *one = NULL, *two = NULL;
	uint64_t bytes;
	size_t moved = 0;

	cr_assert_eq(spool_open(&options, &one), OK);
	options.slot = 1;
	cr_assert_eq(spool_open(&options, &two), OK);
	cr_expect_eq(append(one, 0, 8), OK);
	cr_expect_eq(append(two, 0, 1), ERR_BUSY);
	bytes = spool_bytes(one);
	cr_expect_eq(spool_bytes(two), bytes);
	spool_adopt(two, &moved);
	cr_expect_eq(spool_bytes(two), bytes, "not counted twice");
	spool_board_clear(&board, 0);
	spool_adopt(two, &moved);
	cr_expect_eq(spool_bytes(two), bytes, "measured");
	expect_delivered(one, "abcdefgh");
	spool_adopt(two, &moved);
	cr_expect_eq(append(two, 0, 1), OK);
	spool_close(one);
	spool_close(two);
}

Test(spool, what_dead_workers_left_is_adopted)
{
	struct spool *dead = open_slot(1, MIB);
	struct spool *living = open_slot(2, MIB);
	struct spool *spool;
	size_t moved = 0;

	cr_expect_eq(append(dead, 0, 2), OK);
	spool_close(dead);
	cr_expect_eq(append(living, 5, 1), OK);
	spool = open_slot(3, MIB);
	expect_delivered(spool, "ab");
	spool_adopt(spool, &moved);
	cr_expect_eq(moved, 0);
	expect_delivered(living, "f");
	spool_close(living);
	spool_close(spool);
}

Test(spool, a_failed_fsync_seals_the_segment_for_good)
{
	struct spool *spool = open_slot(0, MIB);
	char sealed[SLOT_NAME_SIZE];
	char name[SLOT_NAME_SIZE];

	cr_expect_eq(append(spool, 0, 1), OK);
	failing_syncs = 1;
	cr_expect_eq(append(spool, 1, 1), OK, "in a new segment");
	cr_expect_eq(failing_syncs, 0);
	cr_expect_not(spool_is_failing(spool));
	cr_assert_eq(spool_oldest(spool, sealed), OK, "the old one");
	cr_expect_eq(append(spool, 2, 1), OK);
	cr_assert_eq(spool_oldest(spool, name), OK);
	cr_expect_str_eq(name, sealed);
	expect_delivered(spool, "abc");
	spool_close(spool);
}

Test(spool, a_disk_that_fails_twice_acknowledges_nothing)
{
	struct spool *spool = open_slot(0, MIB);

	cr_expect_eq(append(spool, 0, 1), OK);
	failing_syncs = 2;
	cr_expect_eq(append(spool, 1, 1), ERR_SYSTEM);
	cr_expect(spool_is_failing(spool));
	cr_expect_not(spool_has_place(spool));
	cr_expect_eq(append(spool, 1, 1), ERR_SYSTEM, "until it was probed");
	cr_expect_eq(spool_probe(spool), OK);
	cr_expect(spool_has_place(spool));
	cr_expect_eq(append(spool, 2, 1), OK);
	expect_delivered(spool, "ac");
	spool_close(spool);
}

static void
path_in(char path[256], const char *name)
{
	(void)snprintf(path, 256, "%s/%s", dir, name);
}

static void
remove_in(const char *name)
{
	char path[256];

	path_in(path, name);
	cr_assert_eq(nftw(path, unlink_it, 8, FTW_DEPTH | FTW_PHYS), 0);
}

Test(spool, a_slot_that_is_removed_is_made_again)
{
	struct spool *spool = open_slot(0, MIB);

	cr_expect_eq(spool_look(spool), OK);
	cr_expect_eq(append(spool, 0, 1), OK);
	remove_in("0");
	cr_expect_eq(spool_look(spool), OK);
	cr_expect_not(spool_is_failing(spool));
	cr_expect(spool_is_empty(spool));
	cr_expect_eq(spool_bytes(spool), 0);
	spool_prepare(spool);
	cr_expect_eq(append(spool, 1, 2), OK);
	expect_delivered(spool, "bc");
	spool_close(spool);
	spool = open_slot(0, MIB);
	spool_close(spool);
}

Test(spool, the_whole_directory_is_made_again)
{
	struct spool *spool = open_slot(0, MIB);
	char name[SLOT_NAME_SIZE];
	size_t moved = 0;

	remove_in("");
	cr_expect_eq(spool_look(spool), OK);
	cr_expect_eq(append(spool, 1, 2), OK);
	spool_seal(spool);
	spool_adopt(spool, &moved);
	cr_expect_eq(spool_oldest(spool, name), OK);
	expect_delivered(spool, "bc");
	spool_close(spool);
}

Test(spool, one_moved_away_keeps_what_it_has)
{
	struct spool *spool = open_slot(0, MIB);
	size_t moved = 0;
	char from[256], to[256];

	cr_expect_eq(append(spool, 0, 2), OK);
	path_in(from, "0");
	path_in(to, "5");
	cr_assert_eq(rename(from, to), 0);
	cr_expect_eq(spool_look(spool), OK);
	cr_expect_eq(append(spool, 5, 1), OK);
	spool_seal(spool);
	spool_adopt(spool, &moved);
	cr_expect_eq(moved, 1, "its lock is free");
	expect_delivered(spool, "abf");
	spool_close(spool);
}

Test(spool, a_lock_that_is_removed_is_taken_again)
{
	struct spool *spool = open_slot(0, MIB);
	struct spool *other = NULL;

	remove_in("0/" SLOT_LOCK);
	cr_expect_eq(spool_look(spool), OK);
	cr_expect_eq(spool_open(&(struct spool_options){ .dir = dir,
				    .slot = 0,
				    .bytes_max = MIB },
			 &other),
	    ERR_CONFLICT);
	spool_close(spool);
}

Test(spool, a_slot_that_another_has_taken_is_failing_until_it_is_free)
{
	struct spool *spool = open_slot(0, MIB);
	struct spool *other;

	remove_in("0");
	other = open_slot(0, MIB);
	cr_expect_eq(spool_look(spool), ERR_CONFLICT);
	cr_expect(spool_is_failing(spool));
	cr_expect_eq(append(spool, 0, 1), ERR_SYSTEM);
	spool_close(other);
	cr_expect_eq(spool_probe(spool), OK);
	cr_expect_eq(append(spool, 0, 1), OK);
	expect_delivered(spool, "a");
	spool_close(spool);
}

Test(spool, nothing_is_acknowledged_into_a_segment_that_was_removed)
{
	struct spool *spool = open_slot(0, MIB);
	char path[256];
	struct dirent *entry;
	DIR *slot;

	cr_expect_eq(append(spool, 0, 1), OK);
	path_in(path, "0");
	slot = opendir(path);
	cr_assert_not_null(slot);
	while ((entry = readdir(slot)) != NULL)
		if (strstr(entry->d_name, SEGMENT_SUFFIX) != NULL)
			cr_assert_eq(unlinkat(dirfd(slot), entry->d_name, 0),
			    0);
	(void)closedir(slot);
	cr_expect_eq(append(spool, 1, 1), OK, "in a new one");
	remove_in("0");
	cr_expect_eq(append(spool, 2, 1), ERR_SYSTEM, "there is none");
	cr_expect(spool_is_failing(spool));
	cr_expect_eq(spool_probe(spool), OK);
	cr_expect_eq(append(spool, 3, 1), OK);
	expect_delivered(spool, "d");
	spool_close(spool);
}

static void
limit_files(rlim_t bytes)
{
	struct rlimit limit;

	cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes;
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

Test(spool, a_full_disk_leaves_no_half_record)
{
	struct spool *spool;

	(void)signal(SIGXFSZ, SIG_IGN); /* write() fails instead */
	spool = open_slot(0, MIB);
	cr_expect_eq(append(spool, 0, 1), OK);
	limit_files(100);
	cr_expect_eq(append(spool, 1, 2), ERR_SYSTEM);
	cr_expect(spool_is_failing(spool));
	cr_expect_eq(spool_probe(spool), ERR_SYSTEM);
	limit_files(RLIM_INFINITY);
	cr_expect_eq(spool_probe(spool), OK);
	cr_expect_eq(append(spool, 3, 1), OK);
	expect_delivered(spool, "ad");
	spool_close(spool);
}

Test(spool, room_is_on_the_disk_before_it_is_needed)
{
	struct spool *spool = open_slot(0, 64 * MIB);
	char path[128];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/0/" SLOT_NEXT, dir);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_size, 0);
	cr_expect_geq((uint64_t)st.st_blocks * 512, SPOOL_READY);
	no_room = true;
	cr_expect(spool_has_place(spool), "nobody has looked");
	cr_expect_eq(append(spool, 0, 1), OK, "there is room for it");
	cr_expect_neq(stat(path, &st), 0, "it is the segment now");
	cr_expect_not(spool_has_place(spool), "but for no more");
	cr_expect_eq(append(spool, 1, 1), OK, "except of calls that run");
	no_room = false;
	spool_prepare(spool);
	cr_expect(spool_has_place(spool));
	cr_expect_eq(stat(path, &st), 0);
	expect_delivered(spool, "ab");
	spool_close(spool);
	cr_expect_neq(stat(path, &st), 0, "nothing is left");
}

Test(spool, without_room_at_the_start_there_is_no_place)
{
	struct spool *spool;

	no_room = true;
	spool = open_slot(0, MIB);
	cr_expect_not(spool_has_place(spool));
	cr_expect_not(spool_is_failing(spool), "what runs is kept");
	no_room = false;
	spool_prepare(spool);
	cr_expect(spool_has_place(spool));
	spool_close(spool);
}

static struct spool *
open_on(struct spool_board *board, int slot)
{
	const struct spool_options options = {
		.dir = dir, .slot = slot, .bytes_max = MIB, .board = board
	};
	struct spool *spool = NULL;

	cr_assert_eq(spool_open(&options, &spool), OK);
	return spool;
}

static void
forget_writes(struct spool_board *board)
{
	atomic_store(&board->proven_us, 1); /* long ago */
}

Test(spool, a_disk_that_is_full_by_now_is_tried_all_the_same)
{
	struct spool_board board = { 0 };
	struct spool *spool = open_on(&board, 0);

	no_room = no_probe = true;
	cr_expect_eq(spool_probe(spool), OK, "in a file of before");
	cr_expect(spool_is_proven(spool, SPOOL_SURE_MS));
	spool_close(spool);
}

Test(spool, no_room_to_try_a_disk_is_no_failure)
{
	struct spool_board board = { 0 };
	struct spool *spool;

	no_probe = true;
	spool = open_on(&board, 0);
	cr_expect_eq(spool_probe(spool), ERR_BUSY);
	cr_expect_not(spool_is_failing(spool));
	cr_expect_not(spool_is_proven(spool, SPOOL_SURE_MS));
	cr_expect_eq(append(spool, 0, 1), OK, "what was ready is there");
	failing_syncs = 2;
	cr_expect_eq(append(spool, 1, 1), ERR_SYSTEM);
	forget_writes(&board);
	cr_expect_eq(spool_probe(spool), ERR_BUSY);
	cr_expect(spool_is_failing(spool), "nothing says that it works");
	no_probe = false;
	cr_expect_eq(spool_probe(spool), OK);
	expect_delivered(spool, "a");
	spool_close(spool);
}

Test(spool, a_new_disk_is_tried_in_a_file_of_its_own)
{
	struct spool_board board = { 0 };
	struct spool *spool = open_on(&board, 0);

	cr_expect_eq(spool_probe(spool), OK);
	remove_in("");
	cr_expect_eq(spool_look(spool), OK);
	cr_expect_not(spool_is_proven(spool, SPOOL_SURE_MS), "the old one is");
	no_probe = true;
	cr_expect_eq(spool_probe(spool), ERR_BUSY);
	cr_expect_not(spool_is_proven(spool, SPOOL_SURE_MS));
	no_probe = false;
	cr_expect_eq(spool_probe(spool), OK);
	cr_expect(spool_is_proven(spool, SPOOL_SURE_MS));
	spool_close(spool);
}

Test(spool, what_one_worker_finds_all_know)
{
	struct spool_board board = { 0 };
	struct spool_options options = {
		.dir = dir, .bytes_max = MIB, .board = &board
	};
	struct spool *one = NULL, *other = NULL;

	cr_assert_eq(spool_open(&options, &one), OK);
	options.slot = 63;
	cr_assert_eq(spool_open(&options, &other), OK);
	cr_expect(spool_has_place(other));
	failing_syncs = 2;
	cr_expect_eq(append(one, 0, 1), ERR_SYSTEM);
	cr_expect_not(spool_has_place(other));
	cr_expect_not(spool_is_writable(other));
	cr_expect_eq(append(other, 1, 1), OK, "it still tries for itself");
	cr_expect_eq(spool_probe(one), OK);
	cr_expect(spool_has_place(other));
	spool_tell_stalled(other, true);
	cr_expect_not(spool_has_place(one));
	spool_board_clear(&board, 63); /* it died of it */
	cr_expect(spool_has_place(one));
	spool_close(other);
	spool_close(one);
}

/* Leaves a segment with a header of a version that is to come. */
static void
leave_newer(const char *slot)
{
	struct buf head;
	char path[256];
	FILE *file;
	uint32_t crc = 0xffffffff;

	buf_init(&head, 100);
	segment_add_header(&head, &(struct uuid){ { 1 } });
	head.data[8]++;
	for (int i = 0; i < 36 * 8; i++) {
		uint32_t bit = (uint32_t)(head.data[i / 8] >> i % 8) & 1;

		crc = crc >> 1 ^ ((crc ^ bit) & 1 ? 0x82f63b78 : 0);
	}
	for (int i = 0; i < 4; i++)
		head.data[36 + i] = (char)(~crc >> 8 * i);
	(void)snprintf(path, sizeof(path), "%s/%s", dir, slot);
	(void)mkdir(path, 0700);
	(void)snprintf(path, sizeof(path), "%s/%s/newer.spool", dir, slot);
	file = fopen(path, "w");
	cr_assert_not_null(file);
	cr_assert_eq(fwrite(head.data, 1, head.len, file), head.len);
	(void)fclose(file);
	buf_fini(&head);
}

Test(spool, a_newer_version_is_refused_and_stays)
{
	struct spool *spool = NULL;
	char path[256];

	leave_newer("0");
	cr_expect_eq(spool_open(&(struct spool_options){ .dir = dir,
				    .slot = 0,
				    .bytes_max = MIB },
			 &spool),
	    ERR_INPUT);
	spool = open_slot(1, MIB); /* does not adopt it either */
	cr_expect(spool_is_empty(spool));
	spool_close(spool);
	(void)snprintf(path, sizeof(path), "%s/0/newer.spool", dir);
	cr_expect_eq(access(path, F_OK), 0);
}

Test(spool, a_check_finds_a_newer_version_in_any_slot)
{
	cr_expect_eq(spool_check(dir, 2), OK);
	leave_newer("7");
	cr_expect_eq(spool_check(dir, 2), ERR_INPUT);
}

static void
put(const char *path, const char *text, mode_t mode)
{
	char full[256];
	FILE *file;

	(void)snprintf(full, sizeof(full), "%s/%s", dir, path);
	file = fopen(full, "w");
	cr_assert_not_null(file);
	cr_assert_geq(fputs(text, file), 0);
	(void)fclose(file);
	cr_assert_eq(chmod(full, mode), 0);
}

static void
make(const char *path)
{
	char full[256];

	(void)snprintf(full, sizeof(full), "%s/%s", dir, path);
	cr_assert_eq(mkdir(full, 0700), 0);
}

Test(spool, what_is_foreign_in_other_slots_is_passed_over)
{
	struct spool *dead = open_slot(9, MIB);
	struct spool *spool;
	char path[256];

	cr_expect_eq(append(dead, 0, 2), OK);
	spool_close(dead);
	put("3", "no directory", 0600);
	make("4");
	make("4/directory.spool");
	make("5");
	(void)snprintf(path, sizeof(path), "%s/5/pipe.spool", dir);
	cr_assert_eq(mkfifo(path, 0600), 0);
	(void)snprintf(path, sizeof(path), "%s/5/link.spool", dir);
	cr_assert_eq(symlink("nothing", path), 0);
	make("6");
	make("6/lock");
	put("6/x.spool", "some", 0600);
	leave_newer("7");
	cr_expect_eq(spool_check(dir, 3), ERR_INPUT, "the newer one");
	spool = open_slot(0, MIB);
	cr_expect_eq(access(path, F_OK), -1, "a link to nothing");
	expect_delivered(spool, "ab");
	(void)snprintf(path, sizeof(path), "%s/6/x.spool", dir);
	cr_expect_eq(access(path, F_OK), 0);
	spool_close(spool);
}

Test(spool, a_check_needs_the_slots_of_workers_only)
{
	put("3", "no directory", 0600);
	cr_expect_eq(spool_check(dir, 3), OK);
	cr_expect_eq(spool_check(dir, 4), ERR_SYSTEM);
}

Test(spool, a_check_makes_the_slots_of_workers_and_opens_their_locks)
{
	char path[256];

	make("2");
	make("2/lock");
	cr_expect_eq(spool_check(dir, 2), OK);
	(void)snprintf(path, sizeof(path), "%s/0/lock", dir);
	cr_expect_eq(access(path, F_OK), 0);
	spool_close(open_slot(1, MIB)); /* nobody holds it */
	cr_expect_eq(spool_check(dir, 3), ERR_SYSTEM);
}

Test(spool, what_root_makes_belongs_to_the_directory_s_owner)
{
	const uid_t owner = 12345;
	struct slot slot;
	struct stat st;
	int fd;

	if (geteuid() != 0)
		return; /* nobody else can give files away */
	cr_assert_eq(chown(dir, owner, owner), 0);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert_geq(fd, 0);
	cr_assert_eq(slot_take(fd, "0", 0, &slot), OK);
	cr_assert_eq(fstatat(fd, "0", &st, 0), 0);
	cr_expect_eq(st.st_uid, owner);
	cr_assert_eq(fstatat(fd, "0/lock", &st, 0), 0);
	cr_expect_eq(st.st_uid, owner);
	cr_expect_eq(st.st_gid, owner);
	slot_release(&slot);
	(void)close(fd);
}

/* Room that a killed run of another user has left: even root's, since who may
 * open it is not to matter. */
Test(spool, room_that_cannot_be_opened_is_made_anew)
{
	const uid_t owner = 12345;
	struct spool *spool;
	char path[256];

	make("0");
	put("0/" SLOT_NEXT, "left", 0);
	path_in(path, "0");
	if (geteuid() == 0) {
		cr_assert_eq(chown(dir, owner, owner), 0);
		cr_assert_eq(chown(path, owner, owner), 0);
		cr_assert_eq(seteuid(owner), 0);
	}
	spool = open_slot(0, MIB);
	cr_expect(spool_has_place(spool));
	cr_expect_eq(append(spool, 0, 2), OK);
	expect_delivered(spool, "ab");
	spool_close(spool);
	cr_assert_eq(seteuid(getuid()), 0);
}

Test(spool, what_root_writes_belongs_to_the_directory_s_owner)
{
	const uid_t owner = 12345;
	struct spool *spool;
	char name[SLOT_NAME_SIZE];
	struct stat st;

	if (geteuid() != 0)
		return; /* nobody else can give files away */
	cr_assert_eq(chown(dir, owner, owner), 0);
	spool = open_slot(0, MIB);
	for (uint8_t i = 0; i < 2; i++) { /* the second without room ready */
		cr_expect_eq(append(spool, i, 1), OK);
		spool_seal(spool);
		cr_assert_eq(spool_oldest(spool, name), OK);
		cr_assert_eq(fstatat(spool_dir_fd(spool), name, &st, 0), 0);
		cr_expect_eq(st.st_uid, owner);
		cr_assert_eq(spool_remove(spool, name), OK);
	}
	cr_assert_eq(slot_quarantine(spool_dir_fd(spool), "x", "bad", 3), OK);
	cr_assert_eq(fstatat(spool_dir_fd(spool), "x" SLOT_BAD_SUFFIX, &st, 0),
	    0);
	cr_expect_eq(st.st_uid, owner);
	spool_close(spool);
}

Test(spool, a_lock_that_is_a_link_to_nothing_is_not_followed)
{
	char path[256];

	make("0");
	(void)snprintf(path, sizeof(path), "%s/0/lock", dir);
	cr_assert_eq(symlink("elsewhere", path), 0);
	cr_expect_eq(spool_check(dir, 1), ERR_SYSTEM);
	(void)snprintf(path, sizeof(path), "%s/0/elsewhere", dir);
	cr_expect_eq(access(path, F_OK), -1);
}

Test(spool, a_segment_here_that_cannot_be_read_holds_up_no_other)
{
	struct spool *spool;
	char name[SLOT_NAME_SIZE];
	char path[256];
	size_t moved = 0;

	make("0");
	make("0/00000000.spool");
	spool = open_slot(0, MIB);
	cr_expect_eq(append(spool, 0, 2), OK);
	expect_delivered(spool, "ab");
	cr_expect_eq(spool_oldest(spool, name), ERR_MISSING);
	(void)snprintf(path, sizeof(path), "%s/0/00000000.spool", dir);
	cr_assert_eq(rmdir(path), 0);
	put("0/00000000.spool", "", 0600);
	spool_adopt(spool, &moved);
	cr_expect_eq(spool_oldest(spool, name), OK, "it can be read now");
	cr_expect(spool_pass_over(spool, name, ERR_SYSTEM));
	cr_expect_eq(spool_oldest(spool, name), ERR_MISSING);
	spool_close(spool);
}

Test(spool, one_that_was_passed_over_waits_until_all_of_it_can_be_read)
{
	struct spool_board board = { 0 };
	struct spool *spool = open_on(&board, 0);
	char name[SLOT_NAME_SIZE];
	size_t moved = 0;

	cr_expect_eq(append(spool, 0, 2), OK);
	spool_seal(spool);
	cr_assert_eq(spool_oldest(spool, name), OK);
	bad_records = true;
	cr_expect(spool_pass_over(spool, name, ERR_SYSTEM));
	for (int round = 0; round < 3; round++) {
		spool_adopt(spool, &moved);
		cr_expect_eq(spool_oldest(spool, name), ERR_MISSING);
		cr_expect_eq(spool_passed_over(spool), 1);
	}
	bad_records = false;
	spool_adopt(spool, &moved);
	cr_expect_eq(spool_passed_over(spool), 0);
	expect_delivered(spool, "ab");
	spool_close(spool);
}

Test(spool, a_segment_that_is_gone_is_removed)
{
	struct spool_board board = { 0 };
	struct spool *spool = open_on(&board, 0);
	char name[SLOT_NAME_SIZE];
	char path[256];

	cr_assert_eq(append(spool, 0, 1), OK);
	spool_seal(spool);
	cr_assert_eq(spool_oldest(spool, name), OK);
	(void)snprintf(path, sizeof(path), "0/%s", name);
	remove_in(path);
	cr_expect_eq(spool_remove(spool, name), OK);
	cr_expect_eq(spool_bytes(spool), 0);
	cr_expect_not(spool_any_waits(spool));
	spool_close(spool);
}

Test(spool, a_check_makes_the_directory_but_not_its_parent)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/new", dir);
	cr_expect_eq(spool_check(path, 2), OK);
	cr_expect_eq(access(path, F_OK), 0);
	(void)snprintf(path, sizeof(path), "%s/no/parent", dir);
	cr_expect_eq(spool_check(path, 2), ERR_SYSTEM);
	cr_expect_eq(spool_check("/dev/null", 2), ERR_SYSTEM);
}

Test(spool, a_directory_that_cannot_be_is_said_so)
{
	struct spool *spool = NULL;

	cr_expect_eq(spool_open(&(struct spool_options){ .dir = "/nonexistent/"
								"spool",
				    .bytes_max = MIB },
			 &spool),
	    ERR_SYSTEM);
	cr_expect_eq(spool_open(&(struct spool_options){ .dir = "/dev/null",
				    .bytes_max = MIB },
			 &spool),
	    ERR_SYSTEM);
	cr_expect_null(spool);
}

Test(spool, a_writer_killed_at_any_moment_loses_nothing_acknowledged)
{
	int64_t pause_us = 500;

	for (int round = 0; round < 20; round++, pause_us += 700) {
		uint8_t acked[2] = { 0, 0 };
		char seen[4096] = "";
		const struct segment_visitor visitor = { .record = add,
			.arg = seen };
		struct segment_report report;
		char name[SLOT_NAME_SIZE];
		struct spool *spool;
		int fds[2];
		pid_t pid;

		cr_assert_eq(pipe(fds), 0);
		pid = fork();
		if (pid == 0) {
			spool = open_slot(0, MIB);
			for (uint8_t n = 1; n < 20; n++)
				if (append(spool, n, 1) == OK)
					(void)!write(fds[1], &n, 1);
			_exit(0);
		}
		(void)close(fds[1]);
		(void)usleep((useconds_t)pause_us);
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		while (read(fds[0], acked, 1) == 1)
			acked[1] = acked[0];
		(void)close(fds[0]);
		spool = open_slot(0, MIB);
		while (spool_oldest(spool, name) == OK) {
			cr_assert_eq(segment_read(spool_dir_fd(spool), name,
					 &visitor, &report),
			    OK);
			cr_assert_eq(report.corrupt, 0);
			cr_assert_eq(spool_remove(spool, name), OK);
		}
		cr_assert_geq(strlen(seen), acked[1]);
		spool_close(spool);
	}
}

Test(spool, the_board_knows_where_records_wait)
{
	struct spool_board board = { 0 };
	struct spool *spool = open_on(&board, 2);

	cr_expect_eq(atomic_load(&board.waiting), 0);
	cr_assert_eq(append(spool, 0, 1), OK);
	cr_expect_eq(atomic_load(&board.waiting), 1 << 2);
	expect_delivered(spool, "a");
	cr_expect_eq(atomic_load(&board.waiting), 0);
	cr_assert_eq(append(spool, 0, 1), OK);
	spool_close(spool);
	spool_board_clear(&board, 2);
	cr_expect_eq(atomic_load(&board.waiting), 1 << 2, "it is still there");
	spool = open_on(&board, 0);
	cr_expect_eq(atomic_load(&board.waiting), 1, "it was adopted");
	expect_delivered(spool, "a");
	cr_expect_eq(atomic_load(&board.waiting), 0);
	spool_close(spool);
}

Test(spool, what_an_earlier_life_left_waits)
{
	struct spool_board board = { 0 };
	struct spool *spool = open_slot(5, MIB);

	cr_assert_eq(append(spool, 0, 1), OK);
	spool_close(spool);
	spool_close(open_slot(6, MIB)); /* adopts it */
	spool_board_look(&board, dir);
	cr_expect_eq(atomic_load(&board.waiting), 1 << 6);
}

Test(spool, a_file_that_is_named_like_a_slot_does_not_wait)
{
	struct spool_board board = { 0 };
	char path[256];
	int fd;

	spool_close(open_slot(5, MIB)); /* makes the directory */
	(void)snprintf(path, sizeof(path), "%s/3", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	cr_assert_geq(fd, 0);
	(void)close(fd);
	spool_board_look(&board, dir);
	cr_expect_eq(atomic_load(&board.waiting), 0);
}

Test(spool, nothing_waits_for_what_is_passed_over)
{
	struct spool_board board = { 0 };
	char name[SLOT_NAME_SIZE];
	struct spool *spool;
	size_t moved = 0;

	make("1");
	make("1/own.spool");
	make("4");
	make("4/directory.spool");
	make("6");
	make("6/lock");
	put("6/x.spool", "some", 0600);
	spool_board_look(&board, dir);
	cr_expect_eq(atomic_load(&board.waiting), 1 << 1 | 1 << 4 | 1 << 6,
	    "nobody has looked closer");
	spool = open_on(&board, 1);
	cr_expect_not(spool_any_waits(spool));
	cr_assert_eq(append(spool, 0, 1), OK);
	cr_expect(spool_any_waits(spool));
	spool_seal(spool);
	cr_assert_eq(spool_oldest(spool, name), OK);
	cr_expect(spool_pass_over(spool, name, ERR_SYSTEM));
	cr_expect_not(spool_any_waits(spool));
	spool_adopt(spool, &moved);
	cr_expect_eq(atomic_load(&board.waiting), 1 << 1, "it can be read");
	expect_delivered(spool, "a");
	remove_in("4/directory.spool");
	put("4/directory.spool", "", 0600);
	spool_adopt(spool, &moved);
	cr_expect_eq(moved, 1);
	cr_expect(spool_any_waits(spool), "as this one can now");
	spool_close(spool);
}

Test(spool, who_lives_says_himself_whether_his_records_wait)
{
	struct spool_board board = { 0 };
	struct spool *spool = open_on(&board, 1);
	struct spool *other = open_on(&board, 3);
	size_t moved = 0;

	cr_assert_eq(append(other, 0, 1), OK);
	make("67"); /* it has the place of slot 3 */
	make("67/directory.spool");
	spool_adopt(spool, &moved);
	cr_expect_eq(atomic_load(&board.waiting), 1 << 3);
	spool_close(other);
	spool_close(spool);
}

Test(spool, a_slot_that_only_seemed_to_wait_does_not)
{
	struct spool_board board = { 0 };
	struct spool *spool = open_on(&board, 1);
	size_t moved = 0;

	atomic_store(&board.waiting, 1 << 1);
	spool_adopt(spool, &moved);
	cr_expect_eq(atomic_load(&board.waiting), 0);
	spool_close(spool);
}
