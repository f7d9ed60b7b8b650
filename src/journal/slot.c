/*
 * slot.c - the directory of one worker slot in the spool directory.
 */
#include "journal/slot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "journal/segment.h"

#define LOCK_POLL_NS 10000000L

/* Best effort: it may be another's, and not to be read. */
static void
sync_parent(int fd)
{
	int parent = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (parent < 0)
		return;
	(void)fsync(parent);
	(void)close(parent); /* only read */
}

/* What root has made in a directory of the workers' is for them to use.  Best
 * effort: who may not give it away has made it for itself. */
static void
give_to_owner(int dir_fd, int made_fd)
{
	struct stat st;

	if (geteuid() == 0 && fstat(dir_fd, &st) == 0)
		(void)!fchown(made_fd, st.st_uid, st.st_gid);
}

/* Looked for before it is made: even that would wait for a disk that hangs. */
enum err
slot_directory(int at_fd, const char *dir, int *out)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	bool made;

	*out = openat(at_fd, dir, flags);
	if (*out >= 0)
		return OK;
	if (errno != ENOENT)
		return ERR_SYSTEM;
	made = mkdirat(at_fd, dir, 0700) == 0;
	if (!made && errno != EEXIST)
		return ERR_SYSTEM;
	*out = openat(at_fd, dir, made ? flags | O_NOFOLLOW : flags);
	if (*out < 0)
		return ERR_SYSTEM;
	if (made && at_fd != AT_FDCWD)
		give_to_owner(at_fd, *out);
	sync_parent(*out);
	return OK;
}

bool
slot_is_ours(int fd)
{
	return faccessat(fd, ".", R_OK | W_OK | X_OK, AT_EACCESS) == 0;
}

enum err
slot_same(int at_fd, const char *name, int fd)
{
	struct stat named, open;

	if (fstatat(at_fd, name, &named, 0) != 0)
		return errno == ENOENT ? ERR_MISSING : ERR_SYSTEM;
	if (fstat(fd, &open) != 0)
		return ERR_SYSTEM;
	return named.st_dev == open.st_dev && named.st_ino == open.st_ino
		   ? OK
		   : ERR_MISSING;
}

enum err
slot_look(int spool_fd, const char *name, const struct slot *slot)
{
	enum err err;

	err = slot_same(spool_fd, name, slot->dir_fd);
	if (err == OK)
		err = slot_same(slot->dir_fd, SLOT_LOCK, slot->lock_fd);
	if (err == OK && !slot_is_ours(slot->dir_fd))
		err = ERR_SYSTEM;
	return err;
}

enum err
slot_move(struct slot *slot, const struct slot *to)
{
	if (dup3(to->dir_fd, slot->dir_fd, O_CLOEXEC) < 0 ||
	    dup3(to->lock_fd, slot->lock_fd, O_CLOEXEC) < 0)
		return ERR_SYSTEM;
	return OK;
}

bool
slot_has_name(int fd)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return false;
	errno = ENOENT;
	return st.st_nlink > 0;
}

static enum err
wait_for_lock(int fd, int64_t wait_ms)
{
	int64_t until = clock_mono_us() + wait_ms * 1000;
	struct timespec pause = { .tv_nsec = LOCK_POLL_NS };

	while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno == EINTR)
			continue;
		if (errno != EWOULDBLOCK)
			return ERR_SYSTEM;
		if (clock_mono_us() >= until)
			return ERR_CONFLICT;
		(void)nanosleep(&pause, NULL); /* a shorter one is fine */
	}
	return OK;
}

/* As slot_directory(); a link that is there is not what was made. */
enum err
slot_open_lock(int dir_fd, int *out)
{
	const int flags = O_RDWR | O_CLOEXEC;

	*out = openat(dir_fd, SLOT_LOCK, flags);
	if (*out >= 0 || errno != ENOENT)
		return *out >= 0 ? OK : ERR_SYSTEM;
	*out = openat(dir_fd, SLOT_LOCK, flags | O_CREAT | O_EXCL, 0600);
	if (*out >= 0) {
		give_to_owner(dir_fd, *out);
		return OK;
	}
	if (errno == EEXIST) /* by another process, meanwhile */
		*out = openat(dir_fd, SLOT_LOCK, flags);
	return *out >= 0 ? OK : ERR_SYSTEM;
}

enum err
slot_take(int spool_fd, const char *name, int64_t wait_ms, struct slot *out)
{
	struct slot slot = { .dir_fd = -1, .lock_fd = -1 };
	enum err err;

	*out = slot;
	err = slot_directory(spool_fd, name, &slot.dir_fd);
	if (err != OK)
		return err;
	err = slot_open_lock(slot.dir_fd, &slot.lock_fd);
	if (err == OK)
		err = wait_for_lock(slot.lock_fd, wait_ms);
	if (err == OK) {
		*out = slot;
	} else {
		int cause = errno;

		slot_release(&slot);
		errno = cause;
	}
	return err;
}

void
slot_release(struct slot *slot)
{
	if (slot->lock_fd >= 0)
		(void)close(slot->lock_fd); /* lets go of the lock */
	if (slot->dir_fd >= 0)
		(void)close(slot->dir_fd); /* only read */
	slot->lock_fd = -1;
	slot->dir_fd = -1;
}

bool
slot_is_held(int spool_fd, int number)
{
	struct buf path;
	bool held = false;
	int fd = -1;

	buf_init(&path, SLOT_NAME_SIZE);
	buf_addf(&path, "%d/" SLOT_LOCK, number);
	if (buf_ok(&path))
		fd = openat(spool_fd, path.data, O_RDONLY | O_CLOEXEC);
	buf_fini(&path);
	if (fd < 0)
		return false;
	held = flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
	(void)close(fd); /* lets go of the lock */
	return held;
}

void
slot_names_fini(struct slot_names *names)
{
	free(names->names);
	*names = (struct slot_names){ 0 };
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

static int
by_number(const void *a, const void *b)
{
	long x = strtol(a, NULL, 10);
	long y = strtol(b, NULL, 10);

	return x < y ? -1 : x > y;
}

static bool
is_slot(const char *name)
{
	return *name != '\0' && name[strspn(name, "0123456789")] == '\0';
}

static bool
ends_with(const char *name, const char *suffix)
{
	size_t len = strlen(name);
	size_t suffix_len = strlen(suffix);

	return len > suffix_len && strcmp(name + len - suffix_len, suffix) == 0;
}

static bool
is_segment(const char *name)
{
	return ends_with(name, SEGMENT_SUFFIX);
}

static bool
is_set_aside(const char *name)
{
	return ends_with(name, SLOT_BAD_SUFFIX);
}

static bool
is_file(const char *name)
{
	return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static enum err
names_add(struct slot_names *out, const char *name)
{
	char(*names)[SLOT_NAME_SIZE];
	size_t len = strlen(name);

	if (len >= SLOT_NAME_SIZE)
		return OK; /* none of ours */
	names = realloc(out->names, (out->count + 1) * sizeof(*names));
	if (names == NULL)
		return ERR_MEMORY;
	memcpy(names[out->count], name, len + 1);
	out->names = names;
	out->count++;
	return OK;
}

/* A second descriptor, because closedir() closes the one it was given. */
static DIR *
open_again(int dir_fd)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir;

	if (fd < 0)
		return NULL;
	dir = fdopendir(fd);
	if (dir == NULL)
		(void)close(fd); /* only read */
	return dir;
}

static enum err
list(int dir_fd, bool (*wanted)(const char *name), struct slot_names *out)
{
	struct dirent *entry;
	enum err err = OK;
	DIR *dir;

	*out = (struct slot_names){ 0 };
	dir = open_again(dir_fd);
	if (dir == NULL)
		return ERR_SYSTEM;
	while (err == OK && (entry = readdir(dir)) != NULL)
		if (wanted(entry->d_name))
			err = names_add(out, entry->d_name);
	(void)closedir(dir); /* only read */
	if (err != OK)
		slot_names_fini(out);
	return err;
}

enum err
slot_list(int spool_fd, struct slot_names *out)
{
	enum err err = list(spool_fd, is_slot, out);

	if (err == OK && out->count > 0)
		qsort(out->names, out->count, SLOT_NAME_SIZE, by_number);
	return err;
}

static enum err
list_by_name(int dir_fd, bool (*wanted)(const char *name),
    struct slot_names *out)
{
	enum err err = list(dir_fd, wanted, out);

	if (err == OK && out->count > 0)
		qsort(out->names, out->count, SLOT_NAME_SIZE, by_name);
	return err;
}

enum err
slot_segments(int dir_fd, struct slot_names *out)
{
	return list_by_name(dir_fd, is_segment, out);
}

enum err
slot_set_aside(int dir_fd, struct slot_names *out)
{
	return list_by_name(dir_fd, is_set_aside, out);
}

enum err
slot_bytes(int dir_fd, uint64_t *out)
{
	struct slot_names names;
	struct stat st;
	enum err err;

	err = list(dir_fd, is_file, &names);
	if (err != OK)
		return err;
	*out = 0;
	for (size_t i = 0; i < names.count; i++)
		if (fstatat(dir_fd, names.names[i], &st, 0) == 0 &&
		    S_ISREG(st.st_mode))
			*out += (uint64_t)st.st_size;
	slot_names_fini(&names);
	return OK;
}

enum err
slot_remove(int dir_fd, const char *name)
{
	bool gone = unlinkat(dir_fd, name, 0) != 0;

	if ((gone && errno != ENOENT) || fsync(dir_fd) != 0)
		return ERR_SYSTEM;
	return gone ? ERR_MISSING : OK;
}

enum err
slot_write(int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, bytes, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ERR_SYSTEM;
		bytes += n;
		len -= (size_t)n;
	}
	return OK;
}

enum err
slot_create(int dir_fd, const char *name, const struct buf *head, int *out)
{
	int fd = openat(dir_fd, name,
	    O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int cause;

	if (fd < 0)
		return ERR_SYSTEM;
	give_to_owner(dir_fd, fd);
	if (slot_write(fd, head->data, head->len) == OK && fsync(fd) == 0 &&
	    fsync(dir_fd) == 0) {
		*out = fd;
		return OK;
	}
	cause = errno;
	(void)unlinkat(dir_fd, name, 0); /* empty; read as such if it stays */
	(void)close(fd);
	errno = cause;
	return ERR_SYSTEM;
}

bool
slot_reserve(int fd, uint64_t bytes)
{
	return fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes) == 0 ||
	       errno == EOPNOTSUPP || errno == ENOSYS;
}

enum err
slot_make_next(int dir_fd, uint64_t bytes, int *out)
{
	int cause, fd;

	/* One may be left by a process that was killed, another user's too. */
	(void)unlinkat(dir_fd, SLOT_NEXT, 0);
	fd = openat(dir_fd, SLOT_NEXT,
	    O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return ERR_SYSTEM;
	give_to_owner(dir_fd, fd);
	if (slot_reserve(fd, bytes) && fsync(fd) == 0 && fsync(dir_fd) == 0) {
		*out = fd;
		return OK;
	}
	cause = errno;
	(void)unlinkat(dir_fd, SLOT_NEXT, 0); /* empty, if it stays */
	(void)close(fd);
	errno = cause;
	return ERR_SYSTEM;
}

enum err
slot_take_next(int dir_fd, int fd, const char *name, const struct buf *head)
{
	int cause;

	if (slot_write(fd, head->data, head->len) == OK && fsync(fd) == 0 &&
	    renameat(dir_fd, SLOT_NEXT, dir_fd, name) == 0 &&
	    fsync(dir_fd) == 0)
		return OK;
	cause = errno;
	(void)unlinkat(dir_fd, SLOT_NEXT, 0); /* one of them is there */
	(void)unlinkat(dir_fd, name, 0);
	(void)close(fd);
	errno = cause;
	return ERR_SYSTEM;
}

static enum err
keep_bytes(int dir_fd, const char *name, const char *bytes, size_t len)
{
	enum err err;
	int fd;

	fd = openat(dir_fd, name,
	    O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return ERR_SYSTEM;
	give_to_owner(dir_fd, fd);
	err = slot_write(fd, bytes, len);
	if (err == OK && fsync(fd) != 0)
		err = ERR_SYSTEM;
	if (close(fd) != 0 && err == OK)
		err = ERR_SYSTEM;
	if (err == OK && fsync(dir_fd) != 0)
		err = ERR_SYSTEM;
	return err;
}

enum err
slot_quarantine(int dir_fd, const char *segment, const char *bytes, size_t len)
{
	struct buf name;
	enum err err;

	buf_init(&name, SLOT_NAME_SIZE);
	buf_adds(&name, segment);
	buf_adds(&name, SLOT_BAD_SUFFIX);
	err = buf_ok(&name) ? keep_bytes(dir_fd, buf_str(&name), bytes, len)
			    : ERR_MEMORY;
	buf_fini(&name);
	return err;
}
