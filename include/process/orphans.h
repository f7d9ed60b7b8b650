/*
 * orphans.h - workers whose supervisor was killed: they drain while the next
 * supervisor's workers serve already.
 */
#ifndef PROCESS_ORPHANS_H
#define PROCESS_ORPHANS_H

#include "api/scoreboard.h"

/* Before the first worker: the slots of spool_dir that are held by living
 * workers are WORKER_ORPHAN.  How many. */
int orphans_find(struct scoreboard *board, const char *spool_dir);

/* Slots whose orphan has ended since are to be swept, or free. */
void orphans_bury(struct scoreboard *board, const char *spool_dir);

#endif /* PROCESS_ORPHANS_H */
