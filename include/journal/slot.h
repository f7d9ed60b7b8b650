/*
 * slot.h - the directory of one worker slot in the spool directory.
 *
 *	SPOOL_DIR/<slot>/lock            who holds its flock owns the slot
 *	SPOOL_DIR/<slot>/<uuid>.spool    segments; the names' order is time's
 *	SPOOL_DIR/<slot>/<segment>.bad   corrupt bytes of a segment, kept
 *	SPOOL_DIR/<slot>/next            an empty segment with room on the disk
 */
#ifndef JOURNAL_SLOT_H
#define JOURNAL_SLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define SLOT_NAME_SIZE  64
#define SLOT_LOCK       "lock"
#define SLOT_BAD_SUFFIX ".bad"
#define SLOT_NEXT       "next"

struct slot {
	int dir_fd; /* -1: not held */
	int lock_fd;
};

/* Names in ascending order; owned by the caller (slot_names_fini). */
struct slot_names {
	char (*names)[SLOT_NAME_SIZE];
	size_t count;
};
void slot_names_fini(struct slot_names *names);

/* Opens dir, made (mode 0700) if missing, in at_fd.  What root makes in a
 * directory that is open belongs to its owner.  ERR_SYSTEM: errno. */
enum err slot_directory(int at_fd, const char *dir, int *out) MUST_CHECK;
/* The same of the lock in a slot's directory, which is not taken. */
enum err slot_open_lock(int dir_fd, int *out) MUST_CHECK;

/* Can files be listed, made and removed in this directory?  False: errno. */
bool slot_is_ours(int fd);

/*
 * Takes slot name of the spool directory.  ERR_CONFLICT: another process holds
 * it, also after waiting wait_ms.  ERR_SYSTEM: see errno.
 */
enum err slot_take(int spool_fd, const char *name, int64_t wait_ms,
    struct slot *out) MUST_CHECK;
void slot_release(struct slot *slot);

/* Is name in at_fd the file that is open as fd?  ERR_MISSING: it is gone, or
 * another has its name.  ERR_SYSTEM: see errno. */
enum err slot_same(int at_fd, const char *name, int fd) MUST_CHECK;
/* The same of a slot that was taken, and can it still be written? */
enum err slot_look(int spool_fd, const char *name,
    const struct slot *slot) MUST_CHECK;
/* The descriptors of slot are of to from now on, at no moment of none: other
 * threads may use them.  Both are to be released. */
enum err slot_move(struct slot *slot, const struct slot *to) MUST_CHECK;
/* Would what is written to this file be found again?  False: errno. */
bool slot_has_name(int fd);

/* Does a process hold slot number of the spool directory?  Takes nothing. */
bool slot_is_held(int spool_fd, int number);

/* The slots of a spool directory; the segments of a slot's directory; what was
 * set aside there (SLOT_BAD_SUFFIX). */
enum err slot_list(int spool_fd, struct slot_names *out) MUST_CHECK;
enum err slot_segments(int dir_fd, struct slot_names *out) MUST_CHECK;
enum err slot_set_aside(int dir_fd, struct slot_names *out) MUST_CHECK;

/* Bytes of all files in the directory. */
enum err slot_bytes(int dir_fd, uint64_t *out) MUST_CHECK;

/* Removes a file and makes that durable.  ERR_MISSING: it was gone, and that is
 * durable.  ERR_SYSTEM: see errno. */
enum err slot_remove(int dir_fd, const char *name) MUST_CHECK;

/* Writes all of it, or ERR_SYSTEM with errno. */
enum err slot_write(int fd, const char *bytes, size_t len) MUST_CHECK;

/*
 * Creates a file with its first bytes, durable with its name, opened for
 * appending.  ERR_SYSTEM: see errno; it is not there.
 */
enum err slot_create(int dir_fd, const char *name, const struct buf *head,
    int *out) MUST_CHECK;

/*
 * Has room on the disk for bytes of the file, without making it longer.  False
 * when there is none (errno); true where nobody can say.
 */
bool slot_reserve(int fd, uint64_t bytes);

/* Makes SLOT_NEXT, empty, with so much room.  ERR_SYSTEM: see errno. */
enum err slot_make_next(int dir_fd, uint64_t bytes, int *out) MUST_CHECK;

/* SLOT_NEXT, open as fd, with its first bytes becomes name, durably.  On
 * ERR_SYSTEM (errno) it is closed and gone. */
enum err slot_take_next(int dir_fd, int fd, const char *name,
    const struct buf *head) MUST_CHECK;

/* Keeps corrupt bytes of segment in its .bad file, durably. */
enum err slot_quarantine(int dir_fd, const char *segment, const char *bytes,
    size_t len) MUST_CHECK;

#endif /* JOURNAL_SLOT_H */
