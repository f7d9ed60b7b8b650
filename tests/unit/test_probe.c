/*
 * test_probe.c - a disk is told by what it does with a write.
 *
 * This program's own fdatasync(), fsync() and fstatvfs() stand in for the disk.
 */
#include "journal/probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <criterion/criterion.h>

static char dir[64];
static int dir_fd;
static struct probe probe;
static int failing_syncs; /* the next so many fail with EIO */
static int last_cause;    /* the last of them with this, unless it is 0 */
static int syncs, data_syncs;
static bool read_only;

static int
sync_it(long call, int fd)
{
	if (failing_syncs > 0) {
		failing_syncs--;
		errno = EIO;
		if (failing_syncs == 0 && last_cause != 0)
			errno = last_cause;
		return -1;
	}
	return (int)syscall(call, fd);
}

int
fdatasync(int fd)
{
	data_syncs++;
	return sync_it(SYS_fdatasync, fd);
}

int
fsync(int fd)
{
	syncs++;
	return sync_it(SYS_fsync, fd);
}

int
fstatvfs(int fd, struct statvfs *out)
{
	(void)fd;
	*out = (struct statvfs){ .f_flag = read_only ? ST_RDONLY : 0 };
	return 0;
}

static void
start(void)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/minuted-probe-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY);
	cr_assert_geq(dir_fd, 0);
	probe_init(&probe);
}

static void
stop(void)
{
	probe_fini(&probe);
	(void)close(dir_fd);
	(void)rmdir(dir);
}

TestSuite(probe, .init = start, .fini = stop);

static int
files(void)
{
	DIR *list = opendir(dir);
	int count = -2; /* . and .. */

	cr_assert_not_null(list);
	while (readdir(list) != NULL)
		count++;
	(void)closedir(list);
	return count;
}

Test(probe, a_disk_that_works_is_written_in_place_after_the_first_time)
{
	struct stat before, after;

	cr_assert_eq(probe_try(&probe, dir_fd, false), OK);
	cr_expect_eq(files(), 0, "it has no name");
	syncs = data_syncs = 0;
	cr_assert_eq(fstat(probe.fd, &before), 0);
	for (int i = 0; i < 5; i++)
		cr_assert_eq(probe_try(&probe, dir_fd, false), OK);
	cr_assert_eq(fstat(probe.fd, &after), 0);
	cr_expect_eq(after.st_size, before.st_size);
	cr_expect_eq(after.st_blocks, before.st_blocks);
	cr_expect_eq(data_syncs, 5);
	cr_expect_eq(syncs, 0, "no name is moved");
}

Test(probe, one_failed_sync_is_tried_again_in_a_new_file)
{
	cr_assert_eq(probe_try(&probe, dir_fd, false), OK);
	syncs = 0;
	failing_syncs = 1;
	cr_expect_eq(probe_try(&probe, dir_fd, false), OK);
	cr_expect_gt(syncs, 0, "its name too");
	cr_expect_eq(files(), 0);
}

Test(probe, a_disk_that_fails_is_told_and_leaves_nothing)
{
	for (int failures = 1; failures <= 3; failures++) {
		failing_syncs = failures;
		if (failures > 1)
			cr_assert_eq(probe_try(&probe, dir_fd, true),
			    ERR_SYSTEM);
		else
			cr_assert_eq(probe_try(&probe, dir_fd, false),
			    ERR_SYSTEM);
		cr_expect_eq(errno, EIO);
		cr_expect_eq(probe.fd, -1);
		cr_expect_eq(files(), 0);
		failing_syncs = 0;
	}
	cr_expect_eq(probe_try(&probe, dir_fd, false), OK);
}

Test(probe, no_room_for_its_file_is_told_apart_from_a_failure)
{
	for (int i = 0; i < 2; i++) {
		last_cause = i == 0 ? ENOSPC : EDQUOT;
		failing_syncs = 1;
		cr_expect_eq(probe_try(&probe, dir_fd, true), ERR_BUSY);
		cr_expect_eq(probe.fd, -1);
		cr_expect_eq(files(), 0);
	}
	cr_expect_eq(probe_try(&probe, dir_fd, false), OK);
	failing_syncs = 2;
	cr_expect_eq(probe_try(&probe, dir_fd, false), ERR_SYSTEM,
	    "it failed before");
}

Test(probe, anew_means_a_new_file)
{
	cr_assert_eq(probe_try(&probe, dir_fd, false), OK);
	syncs = 0;
	cr_assert_eq(probe_try(&probe, dir_fd, true), OK);
	cr_expect_gt(syncs, 0);
	cr_expect_eq(files(), 0);
}

Test(probe, a_read_only_disk_is_told_at_once)
{
	cr_assert_eq(probe_try(&probe, dir_fd, false), OK);
	read_only = true;
	cr_expect_eq(probe_try(&probe, dir_fd, false), ERR_SYSTEM);
	cr_expect_eq(errno, EROFS);
}

Test(probe, what_a_killed_process_left_is_no_obstacle)
{
	int fd = openat(dir_fd, "probe", O_WRONLY | O_CREAT, 0600);

	cr_assert_geq(fd, 0);
	(void)close(fd);
	cr_expect_eq(probe_try(&probe, dir_fd, false), OK);
	cr_expect_eq(files(), 0);
}
