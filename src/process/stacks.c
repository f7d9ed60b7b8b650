/*
 * stacks.c - each thread is sent a signal, and writes its addresses down.
 */
#include "process/stacks.h"

#include <dirent.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"

#define TASKS      "/proc/self/task"
#define FRAMES_MAX 48
#define SKIPPED    2 /* frames: the handler's own, and the kernel's return */
#define LINE_MAX   4096
#define PATIENCE   100 /* looks, a millisecond apart */

static struct {
	atomic_int wanted; /* the thread that is asked; 0: none, or it began */
	atomic_int count;  /* of frames; -1: not there yet */
	void *frames[FRAMES_MAX];
} asked;

static void
on_signal(int number)
{
	int self = (int)syscall(SYS_gettid);

	(void)number;
	if (atomic_compare_exchange_strong(&asked.wanted, &self, 0))
		atomic_store(&asked.count, backtrace(asked.frames, FRAMES_MAX));
}

void
stacks_init(void)
{
	struct sigaction action = { .sa_handler = on_signal,
		.sa_flags = SA_RESTART };
	void *frame[1];

	(void)backtrace(frame, 1); /* its first call loads a library */
	(void)sigaction(SIGURG, &action, NULL); /* the number is legal */
}

static void
add_frame(struct buf *line, void *frame)
{
	const char *object, *slash;
	Dl_info info;

	if (dladdr(frame, &info) == 0 || info.dli_fname == NULL) {
		buf_addf(line, " %p", frame);
		return;
	}
	object = info.dli_fname;
	slash = strrchr(object, '/');
	buf_addf(line, " %s+0x%lx", slash == NULL ? object : slash + 1,
	    (unsigned long)((char *)frame - (char *)info.dli_fbase));
}

static void
log_frames(int thread, int count)
{
	struct buf line;

	buf_init(&line, LINE_MAX);
	for (int i = SKIPPED; i < count; i++)
		add_frame(&line, asked.frames[i]);
	log_error("thread %d is at%s", thread,
	    buf_ok(&line) ? buf_str(&line) : " ?");
	buf_fini(&line);
}

static bool
has_told(void)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	for (int i = 0; i < PATIENCE && atomic_load(&asked.count) < 0; i++)
		(void)nanosleep(&pause, NULL);
	return atomic_load(&asked.count) >= 0;
}

/* False: it is still at it, and no other can be asked. */
static bool
log_thread(int thread)
{
	atomic_store(&asked.count, -1);
	atomic_store(&asked.wanted, thread);
	if (syscall(SYS_tgkill, getpid(), thread, SIGURG) != 0)
		return true; /* it has ended */
	if (has_told()) {
		log_frames(thread, atomic_load(&asked.count));
		return true;
	}
	log_error("thread %d does not say where it is", thread);
	return atomic_compare_exchange_strong(&asked.wanted, &thread, 0);
}

void
stacks_log(void)
{
	DIR *dir = opendir(TASKS);
	struct dirent *entry;
	bool can_ask = true;
	int thread;

	if (dir == NULL)
		return;
	while (can_ask && (entry = readdir(dir)) != NULL) {
		thread = (int)strtol(entry->d_name, NULL, 10);
		if (thread > 0 && thread != (int)syscall(SYS_gettid))
			can_ask = log_thread(thread);
	}
	(void)closedir(dir); /* only read */
}
