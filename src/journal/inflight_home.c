/*
 * inflight_home.c - where the tables of calls in hand are kept.
 *
 *	memory_dir/minuted-<uid>-<hash>/	of this user only
 *		of -> real path of SPOOL_DIR
 *		inflight.<n>
 *
 * Anybody may write to memory_dir, so nothing there is believed: a folder that
 * is a link, another user's, open to others or of another SPOOL_DIR is not
 * used.
 */
#include "journal/inflight_table.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fnv.h"
#include "base/log.h"

#define PATH_LENGTH 4096
#define NAME_LENGTH 64
#define ORIGIN      "of"

/* A place in memory that others cannot take folders away from. */
static bool
is_fit(int fd, const struct inflight_place *place)
{
	uint64_t room = 2 * INFLIGHT_HEAD;
	struct statfs fs;
	struct stat st;

	if (fstatfs(fd, &fs) != 0 || fstat(fd, &st) != 0)
		return false;
	if (fs.f_type != TMPFS_MAGIC ||
	    ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0 &&
		(st.st_mode & S_ISVTX) == 0)) {
		errno = ENOTSUP;
		return false;
	}
	if (fs.f_blocks != 0 &&
	    fs.f_bavail * (uint64_t)fs.f_bsize < room * place->calls) {
		errno = ENOSPC;
		return false;
	}
	return true;
}

/* Is the folder ours alone, and that of this SPOOL_DIR? */
static bool
is_ours(int fd, const char *origin)
{
	char found[PATH_LENGTH];
	struct stat st;
	ssize_t len;

	if (fstat(fd, &st) != 0)
		return false;
	errno = EPERM;
	if (st.st_uid != geteuid() || (st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		return false;
	if (symlinkat(origin, fd, ORIGIN) != 0 && errno != EEXIST)
		return false;
	len = readlinkat(fd, ORIGIN, found, sizeof(found));
	errno = EEXIST;
	return len >= 0 && (size_t)len == strlen(origin) &&
	       memcmp(found, origin, (size_t)len) == 0;
}

static bool
make_folder(int base, const char *name, const char *origin)
{
	int cause;
	bool good;
	int fd;

	if (mkdirat(base, name, 0700) != 0 && errno != EEXIST)
		return false;
	fd =
	    openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return false;
	good = is_ours(fd, origin);
	cause = errno;
	(void)close(fd); /* only read */
	errno = cause;
	return good;
}

/* False: see errno; out is as it was. */
static bool
in_memory(const struct inflight_place *place, const char *origin,
    struct buf *out)
{
	int base = open(place->memory_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct buf name;
	bool good;
	int cause;

	if (base < 0)
		return false;
	buf_init(&name, NAME_LENGTH);
	buf_addf(&name, "minuted-%u-%016llx", (unsigned)geteuid(),
	    (unsigned long long)fnv_add(FNV_BASIS, origin));
	good = buf_ok(&name) && is_fit(base, place) &&
	       make_folder(base, name.data, origin);
	cause = errno;
	if (good)
		buf_addf(out, "%s/%s", place->memory_dir, name.data);
	buf_fini(&name);
	(void)close(base); /* only read */
	errno = cause;
	return good;
}

/* Removes the tables in dir; those that are used stay, and are counted. */
static size_t
remove_unused(const char *dir, size_t tables)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct buf name;
	size_t used = 0;

	if (fd < 0)
		return 0;
	buf_init(&name, NAME_LENGTH);
	for (size_t i = 0; i < tables; i++) {
		buf_reset(&name);
		buf_addf(&name, INFLIGHT_FILE "%zu", i);
		if (!buf_ok(&name))
			continue;
		if (inflight_file_is_used(fd, name.data))
			used++;
		else
			(void)unlinkat(fd, name.data, 0); /* none, mostly */
	}
	buf_fini(&name);
	(void)close(fd); /* only read */
	return used;
}

static enum err
choose(const struct inflight_place *place, const char *origin, struct buf *out)
{
	if (remove_unused(place->spool_dir, place->tables) > 0) {
		log_info("calls in hand stay under %s, which has some of an "
			 "earlier life",
		    place->spool_dir);
		buf_adds(out, place->spool_dir);
	} else if (!in_memory(place, origin, out)) {
		log_warn_errno("calls in hand are kept under SPOOL_DIR, and "
			       "wait for its disk: %s cannot be used",
		    place->memory_dir);
		buf_adds(out, place->spool_dir);
	}
	return buf_ok(out) ? OK : ERR_MEMORY;
}

enum err
inflight_home(const struct inflight_place *place, struct buf *out)
{
	char *origin = realpath(place->spool_dir, NULL);
	enum err err;

	if (origin == NULL)
		return ERR_SYSTEM;
	err = choose(place, origin, out);
	free(origin);
	return err;
}

void
inflight_leave_home(const struct inflight_place *place, const char *home)
{
	struct buf origin;

	if (strcmp(home, place->spool_dir) == 0 ||
	    remove_unused(home, place->tables) > 0)
		return;
	buf_init(&origin, PATH_LENGTH);
	buf_addf(&origin, "%s/" ORIGIN, home);
	if (buf_ok(&origin) && unlink(origin.data) == 0)
		(void)rmdir(home); /* what else is in there stays */
	buf_fini(&origin);
}
