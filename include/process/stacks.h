/*
 * stacks.h - where the threads of a worker that hangs are, told in its log
 * before it is killed: a core file would have secrets in it.
 */
#ifndef PROCESS_STACKS_H
#define PROCESS_STACKS_H

/* Before threads start: loads what a stack takes, and makes a signal tell it,
 * SIGURG, which nothing here uses otherwise and which must not be blocked. */
void stacks_init(void);

/*
 * Logs a line for each other thread of this process: its return addresses, as
 * "object+0x123", innermost first, for `addr2line -f -e object 0x123`.  Waits a
 * tenth of a second at most for a thread.  One thread at a time.
 */
void stacks_log(void);

#endif /* PROCESS_STACKS_H */
