/*
 * probe.h - does the disk of a directory take what is written to it?
 *
 * The first time a file is made and synced with its name, which is removed
 * then.  After that its first block is written again in place: a sync that
 * allocates nothing and moves no name, as cheap as a sync can be.
 */
#ifndef JOURNAL_PROBE_H
#define JOURNAL_PROBE_H

#include <stdbool.h>

#include "base/err.h"

struct probe {
	int fd; /* a file without a name, or -1 */
};

void probe_init(struct probe *probe);
void probe_fini(struct probe *probe);

/*
 * Writes and syncs; anew: in a file made for it, as after a failure.  A file
 * that fails is tried anew once, because a sync that failed says nothing of
 * the next ones.  ERR_BUSY: nothing failed, but there is no room for a file.
 * ERR_SYSTEM: see errno.
 */
enum err probe_try(struct probe *probe, int dir_fd, bool anew) MUST_CHECK;

#endif /* JOURNAL_PROBE_H */
