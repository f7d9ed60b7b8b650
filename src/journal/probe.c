/*
 * probe.c - does the disk of a directory take what is written to it?
 */
#include "journal/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "journal/slot.h"

#define NAME   "probe"
#define BLOCK  4096
#define BLOCKS 16 /* that the disk has room for, the first time */

void
probe_init(struct probe *probe)
{
	probe->fd = -1;
}

void
probe_fini(struct probe *probe)
{
	if (probe->fd >= 0)
		(void)close(probe->fd); /* nothing in it counts */
	probe->fd = -1;
}

static enum err
write_blocks(int fd, int count)
{
	static const char block[BLOCK];
	enum err err = OK;

	if (lseek(fd, 0, SEEK_SET) != 0)
		return ERR_SYSTEM;
	for (int i = 0; err == OK && i < count; i++)
		err = slot_write(fd, block, BLOCK);
	return err;
}

static enum err
make(int dir_fd, int *out)
{
	int fd;

	/* One may be left by a process that was killed here. */
	(void)unlinkat(dir_fd, NAME, 0);
	fd =
	    openat(dir_fd, NAME, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return ERR_SYSTEM;
	*out = fd;
	if (write_blocks(fd, BLOCKS) != OK || fsync(fd) != 0 ||
	    fsync(dir_fd) != 0)
		return ERR_SYSTEM;
	return slot_remove(dir_fd, NAME);
}

/* Of a file system that an error or an administrator made read-only, what is
 * written to an open file may seem to be kept. */
static enum err
check_writable(int dir_fd)
{
	struct statvfs fs;

	if (fstatvfs(dir_fd, &fs) != 0)
		return ERR_SYSTEM;
	if ((fs.f_flag & ST_RDONLY) == 0)
		return OK;
	errno = EROFS;
	return ERR_SYSTEM;
}

static bool
is_for_room(int cause)
{
	return cause == ENOSPC || cause == EDQUOT;
}

enum err
probe_try(struct probe *probe, int dir_fd, bool anew)
{
	bool failed = false;
	int cause;

	if (check_writable(dir_fd) != OK)
		return ERR_SYSTEM;
	if (probe->fd >= 0 && !anew) {
		if (write_blocks(probe->fd, 1) == OK &&
		    fdatasync(probe->fd) == 0)
			return OK;
		failed = true; /* what it has is its own */
	}
	probe_fini(probe);
	if (make(dir_fd, &probe->fd) == OK)
		return OK;
	cause = errno;
	(void)unlinkat(dir_fd, NAME, 0); /* what is left is found out above */
	probe_fini(probe);
	errno = cause;
	return is_for_room(cause) && !failed ? ERR_BUSY : ERR_SYSTEM;
}
