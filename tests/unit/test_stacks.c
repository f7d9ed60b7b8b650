/*
 * test_stacks.c - a thread that hangs is told of.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "process/stacks.h"

static atomic_int open_thread, deaf_thread;
static atomic_bool over;

static void *
hang(void *arg)
{
	sigset_t all;

	sigfillset(&all);
	if (arg == &deaf_thread)
		pthread_sigmask(SIG_BLOCK, &all, NULL);
	atomic_store((atomic_int *)arg, (int)syscall(SYS_gettid));
	while (!atomic_load(&over))
		usleep(1000);
	return NULL;
}

/* What stacks_log() writes. */
static void
told(char *text, size_t size)
{
	FILE *file = tmpfile();
	int saved = dup(STDERR_FILENO);
	size_t len;

	cr_assert_not_null(file);
	cr_assert_geq(dup2(fileno(file), STDERR_FILENO), 0);
	stacks_log();
	cr_assert_geq(dup2(saved, STDERR_FILENO), 0);
	rewind(file);
	len = fread(text, 1, size - 1, file);
	text[len] = '\0';
	(void)fclose(file);
	(void)close(saved);
}

Test(stacks, every_other_thread_is_told_of_also_one_that_does_not_listen)
{
	static char text[65536];
	pthread_t a, b;
	char name[64];

	log_setup(LOG_INFO, "test");
	stacks_init();
	pthread_create(&a, NULL, hang, &open_thread);
	pthread_create(&b, NULL, hang, &deaf_thread);
	while (atomic_load(&open_thread) == 0 || atomic_load(&deaf_thread) == 0)
		usleep(1000);
	told(text, sizeof(text));
	(void)snprintf(name, sizeof(name), "thread %d is at ",
	    atomic_load(&open_thread));
	cr_expect_not_null(strstr(text, name), "%s", text);
	cr_expect_not_null(strstr(strstr(text, name), "+0x"), "%s", text);
	(void)snprintf(name, sizeof(name), "thread %d does not say",
	    atomic_load(&deaf_thread));
	cr_expect_not_null(strstr(text, name), "%s", text);
	(void)snprintf(name, sizeof(name), "thread %d ",
	    (int)syscall(SYS_gettid));
	cr_expect_null(strstr(text, name), "%s", text);
	atomic_store(&over, true);
	pthread_join(a, NULL);
	pthread_join(b, NULL);
}
