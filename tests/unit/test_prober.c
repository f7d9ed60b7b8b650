/*
 * test_prober.c - the disk is tried when it is time, and nobody waits for it.
 *
 * This program's own fdatasync() and fsync() stand in for the disk.
 */
#include "journal/prober.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "base/clock.h"

static char dir[64];
static struct spool_board board;
static struct spool *spools[2];
static struct prober *prober;
static atomic_bool failing, hanging;
static atomic_int syncs;

static int
sync_it(long call, int fd)
{
	atomic_fetch_add(&syncs, 1);
	while (atomic_load(&hanging))
		(void)usleep(1000);
	if (atomic_load(&failing)) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(call, fd);
}

int
fdatasync(int fd)
{
	return sync_it(SYS_fdatasync, fd);
}

int
fsync(int fd)
{
	return sync_it(SYS_fsync, fd);
}

static void
start(void)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/minuted-prober-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	for (int i = 0; i < 2; i++)
		cr_assert_eq(spool_open(&(struct spool_options){ .dir = dir,
					    .slot = i,
					    .bytes_max = 1 << 20,
					    .board = &board },
				 &spools[i]),
		    OK);
	cr_assert_eq(prober_start(spools[0], &prober), OK);
	atomic_store(&syncs, 0);
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
	prober_stop(prober);
	spool_close(spools[0]);
	spool_close(spools[1]);
	(void)nftw(dir, unlink_it, 8, FTW_DEPTH | FTW_PHYS);
}

TestSuite(prober, .init = start, .fini = stop, .timeout = 60);

static bool
comes_to(bool (*what)(void), bool value)
{
	for (int i = 0; i < 3000 && what() != value; i++)
		(void)usleep(1000);
	return what() == value;
}

static bool
proven(void)
{
	return spool_is_proven(spools[1], SPOOL_SURE_MS);
}

static bool
writable(void)
{
	return spool_is_writable(spools[1]);
}

static bool
is_tried(void)
{
	return atomic_load(&syncs) > 0;
}

Test(prober, a_disk_that_nobody_asks_for_is_left_alone)
{
	(void)usleep(1200000);
	cr_expect_eq(atomic_load(&syncs), 0);
	cr_expect_not(proven());
}

Test(prober, once_a_second_is_enough_however_many_ask)
{
	prober_ask(prober);
	cr_assert(comes_to(proven, true), "known to the other slot too");
	atomic_store(&syncs, 0);
	for (int i = 0; i < 500; i++) {
		prober_ask(prober);
		(void)usleep(1000);
	}
	cr_expect_eq(atomic_load(&syncs), 0);
	for (int i = 0; i < 3000 && !is_tried(); i++) {
		prober_ask(prober);
		(void)usleep(1000);
	}
	cr_expect_eq(atomic_load(&syncs), 1, "in place");
	cr_expect(proven(), "without a gap");
}

Test(prober, a_disk_that_fails_is_told_to_all_and_tried_until_it_works)
{
	atomic_store(&failing, true);
	prober_ask(prober);
	cr_assert(comes_to(writable, false));
	cr_expect_not(proven());
	atomic_store(&failing, false);
	cr_expect(comes_to(writable, true), "without being asked");
}

Test(prober, a_disk_that_hangs_holds_nobody_who_asks_and_one_thread_in_all)
{
	int64_t began_us = clock_mono_us();

	atomic_store(&hanging, true);
	prober_ask(prober);
	cr_assert(comes_to(is_tried, true));
	for (int i = 0; i < 1000; i++)
		prober_ask(prober);
	cr_expect_eq(spool_probe(spools[1]), OK, "it is being tried");
	cr_expect_lt(clock_mono_us() - began_us, 1000000);
	cr_expect_eq(atomic_load(&syncs), 1);
	cr_expect_not(proven());
	/* as after SPOOL_HANG_MS */
	atomic_fetch_sub(&board.probing_us, (SPOOL_HANG_MS + 1) * 1000LL);
	cr_expect_not(writable());
	atomic_store(&hanging, false);
	cr_expect(comes_to(writable, true));
}

Test(prober, the_turn_of_a_worker_that_died_passes_on)
{
	atomic_store(&board.probing_us, clock_mono_us());
	atomic_store(&board.prober, 8);
	cr_expect_eq(spool_probe(spools[0]), OK);
	cr_expect_eq(atomic_load(&syncs), 0, "another's turn");
	spool_board_clear(&board, 7);
	cr_expect_eq(spool_probe(spools[0]), OK);
	cr_expect_gt(atomic_load(&syncs), 0);
}
