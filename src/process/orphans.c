/*
 * orphans.c - workers whose supervisor was killed.
 *
 * A worker holds the lock of its slot in the spool from before its first
 * request until after its last record, so the lock says whether it lives.
 */
#include "process/orphans.h"

#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

#include "journal/slot.h"

int
orphans_find(struct scoreboard *board, const char *spool_dir)
{
	int fd = open(spool_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int count = 0;

	if (fd < 0)
		return 0;
	for (int slot = 0; slot < SCOREBOARD_SLOTS; slot++) {
		if (!slot_is_held(fd, slot))
			continue;
		atomic_store(&board->rows[slot].state, WORKER_ORPHAN);
		count++;
	}
	(void)close(fd); /* only read */
	return count;
}

static bool
any_left(const struct scoreboard *board)
{
	for (int slot = 0; slot < SCOREBOARD_SLOTS; slot++) {
		if (atomic_load(&board->rows[slot].state) == WORKER_ORPHAN)
			return true;
	}
	return false;
}

void
orphans_bury(struct scoreboard *board, const char *spool_dir)
{
	int fd;

	if (!any_left(board))
		return;
	fd = open(spool_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	for (int slot = 0; slot < SCOREBOARD_SLOTS; slot++) {
		if (atomic_load(&board->rows[slot].state) == WORKER_ORPHAN &&
		    !slot_is_held(fd, slot))
			scoreboard_retire(board, slot);
	}
	(void)close(fd); /* only read */
}
