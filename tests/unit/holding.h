/*
 * holding.h - a process that is stopped while it has the lock of a counter.
 */
#ifndef UNIT_HOLDING_H
#define UNIT_HOLDING_H

#include <criterion/criterion.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "limit/limit.h"

#define HOLDING_TRIES 20000

/* Stopped anywhere; true: where it has the lock. */
static inline bool
holding_stop(struct limits *limits, const char *name, pid_t pid)
{
	(void)kill(pid, SIGSTOP);
	(void)waitpid(pid, NULL, WUNTRACED);
	return limit_look(limits, name, 1, 1000, NULL) == ERR_BUSY;
}

static inline pid_t
holding_start(struct limits *limits, const char *name)
{
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			(void)!limit_add(limits, name, 0, 1000);
	for (int i = 0; i < HOLDING_TRIES; i++) {
		(void)usleep(50 + (useconds_t)i % 100);
		if (holding_stop(limits, name, pid))
			return pid;
		(void)kill(pid, SIGCONT);
	}
	(void)kill(pid, SIGKILL);
	cr_assert(false, "the lock is never taken when it is stopped");
	return -1;
}

static inline void
holding_end(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}

#endif /* UNIT_HOLDING_H */
