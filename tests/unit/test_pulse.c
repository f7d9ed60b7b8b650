/*
 * test_pulse.c - threads that hang are found, those that wait are left alone.
 */
#include "process/pulse.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECOND  ((int64_t)1000000)
#define NOW     (1000 * SECOND)
#define THREADS 3

static struct pulse threads[THREADS];

static struct pulse_worker
worker_of(int64_t relay_since_us)
{
	return (struct pulse_worker){ .relay_since_us = relay_since_us,
		.threads = threads,
		.count = THREADS,
		.patience_us = 7 * SECOND };
}

static int64_t
last(int64_t relay_since_us)
{
	const struct pulse_worker worker = worker_of(relay_since_us);

	return pulse_last_us(&worker, NOW);
}

Test(pulse, threads_that_wait_for_work_are_alive)
{
	cr_expect_eq(last(0), NOW);
}

Test(pulse, a_relay_that_does_not_get_on_is_found)
{
	cr_expect_eq(last(NOW - 40 * SECOND), NOW - 40 * SECOND);
	cr_expect_eq(last(NOW - 1), NOW - 1);
}

Test(pulse, one_free_request_thread_is_enough)
{
	for (size_t i = 1; i < THREADS; i++)
		pulse_work(&threads[i], NOW - 100 * SECOND);
	cr_expect_eq(last(0), NOW);
}

Test(pulse, so_is_one_that_began_anew)
{
	for (size_t i = 1; i < THREADS; i++)
		pulse_work(&threads[i], NOW - 100 * SECOND);
	pulse_work(&threads[0], NOW - 6 * SECOND);
	cr_expect_eq(last(0), NOW);
}

Test(pulse, request_threads_that_all_hang_are_found)
{
	for (size_t i = 0; i < THREADS; i++)
		pulse_work(&threads[i], NOW - (40 + (int64_t)i) * SECOND);
	cr_expect_eq(last(0), NOW - 33 * SECOND);
	pulse_wait(&threads[2]);
	cr_expect_eq(last(0), NOW);
}

Test(pulse, the_longer_of_both_counts)
{
	for (size_t i = 0; i < THREADS; i++)
		pulse_work(&threads[i], NOW - 40 * SECOND);
	cr_expect_eq(last(NOW - 50 * SECOND), NOW - 50 * SECOND);
	cr_expect_eq(last(NOW - 10 * SECOND), NOW - 33 * SECOND);
}

Test(pulse, without_threads_there_is_nothing_to_hang)
{
	const struct pulse_worker worker = { .patience_us = SECOND };

	cr_expect_eq(pulse_last_us(&worker, NOW), NOW);
}

static void
task(const char *dir, const char *id, const char *stat)
{
	char path[256];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, id);
	cr_assert_eq(mkdir(path, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/%s/stat", dir, id);
	file = fopen(path, "w");
	cr_assert_not_null(file);
	(void)fputs(stat, file);
	(void)fclose(file);
}

static void
untask(const char *dir, const char *id)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s/stat", dir, id);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/%s", dir, id);
	(void)rmdir(path);
}

Test(pulse, a_thread_that_waits_for_a_disk_is_seen)
{
	char dir[] = "/tmp/pulse-XXXXXX";

	cr_assert_not_null(mkdtemp(dir));
	task(dir, "1", "1 (minuted) S 1 1 1 0");
	task(dir, "2", "2 (a) D b) R 1 1 1 0");
	cr_expect_not(pulse_waits_for_disk(dir));
	task(dir, "3", "3 (journal) D 1 1 1 0");
	cr_expect(pulse_waits_for_disk(dir));
	untask(dir, "1");
	untask(dir, "2");
	untask(dir, "3");
	(void)rmdir(dir);
}

Test(pulse, this_program_waits_for_no_disk)
{
	cr_expect_not(pulse_waits_for_disk("/proc/self/task"));
	cr_expect_not(pulse_waits_for_disk("/nowhere"));
}
