/*
 * inflight_map.c - the tables of calls in hand: sparse files, or memory.
 */
#include "journal/inflight_table.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"

#define FORMAT      UINT64_C(0x6d696e7574656432) /* "minuted2" */
#define FILE_MODE   0600
#define PATH_LENGTH 4096

static size_t
page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

struct inflight_slot *
inflight_slot_at(const struct inflight *table, size_t index)
{
	return (struct inflight_slot *)((char *)table->at + table->at->slots +
					index * INFLIGHT_STRIDE);
}

/* What the head of a table for so many calls says. */
static void
set_layout(struct inflight_table *head, size_t calls)
{
	size_t page = page_size();

	memset(head, 0, sizeof(*head));
	head->format = FORMAT;
	head->slot_head = sizeof(struct inflight_slot);
	head->row_size = sizeof(struct call_row);
	head->calls = calls;
	head->slots = (sizeof(*head) + page - 1) / page * page;
	head->size = head->slots + calls * INFLIGHT_STRIDE;
}

static bool
same_layout(const struct inflight_table *a, const struct inflight_table *b)
{
	return a->format == b->format && a->slot_head == b->slot_head &&
	       a->row_size == b->row_size && a->calls == b->calls &&
	       a->size == b->size && a->slots == b->slots;
}

/* fd stays the caller's on failure. */
static struct inflight *
map(int fd, size_t size)
{
	int flags = fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED;
	struct inflight *table = calloc(1, sizeof(*table));
	struct statfs fs;
	void *at;

	if (table == NULL)
		return NULL;
	at = mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE, fd,
	    0);
	if (at == MAP_FAILED) {
		free(table);
		return NULL;
	}
	/* No read-ahead: the pages after a slot's first are rarely needed. */
	(void)madvise(at, size, MADV_RANDOM);
	table->at = at;
	table->fd = fd;
	table->memory =
	    fd < 0 || (fstatfs(fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC);
	return table;
}

/* An empty table; the file, if there is one, is empty. */
static struct inflight *
map_new(int fd, size_t calls)
{
	struct inflight_table fresh;
	struct inflight *table;

	set_layout(&fresh, calls);
	if (fd >= 0 && (ftruncate(fd, (off_t)fresh.size) != 0 ||
			   posix_fallocate(fd, 0, (off_t)fresh.slots) != 0))
		return NULL;
	table = map(fd, fresh.size);
	if (table != NULL)
		memcpy(table->at, &fresh, sizeof(fresh));
	return table;
}

/* Somebody's calls are there, or somebody who may have some lives there. */
static bool
is_used(const struct inflight_table *head)
{
	return atomic_load(&head->count) > 0 || !uuid_is_zero(&head->life);
}

/* The table in the file: of this size and format, or of another size and in
 * use, when nothing in it is to be lost. */
static struct inflight *
map_old(int fd, size_t calls)
{
	struct inflight_table wanted;
	struct inflight_table head;
	struct stat st;

	if (pread(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
	    fstat(fd, &st) != 0)
		return NULL;
	if (is_used(&head) && head.calls <= UINT32_MAX / 2)
		calls = head.calls;
	set_layout(&wanted, calls);
	if (!same_layout(&wanted, &head) || (uint64_t)st.st_size != head.size ||
	    head.fresh > head.calls || head.free > head.calls)
		return NULL;
	return map(fd, wanted.size);
}

/* A file that cannot be read here but may hold calls is kept beside. */
static enum err
set_aside(int fd, const char *path)
{
	struct stat st;
	struct buf aside;
	enum err err = ERR_SYSTEM;

	if (fstat(fd, &st) != 0)
		return ERR_SYSTEM;
	if (st.st_size == 0)
		return OK;
	buf_init(&aside, PATH_LENGTH);
	buf_addf(&aside, "%s.other", path);
	if (buf_ok(&aside) && rename(path, aside.data) == 0) {
		log_warn("calls in hand of another version are kept in %s",
		    aside.data);
		err = OK;
	}
	buf_fini(&aside);
	return err;
}

static int
open_file(const char *path)
{
	return open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
}

static struct inflight *
map_file(const char *path, size_t calls)
{
	struct inflight *table;
	struct inflight_table head = { .count = 0 };
	int fd = open_file(path);

	if (fd < 0)
		return NULL;
	table = map_old(fd, calls);
	if (table != NULL)
		return table;
	if (pread(fd, &head, sizeof(head), 0) == (ssize_t)sizeof(head) &&
	    head.format == FORMAT && !is_used(&head)) {
		if (ftruncate(fd, 0) != 0)
			goto fail;
	} else if (set_aside(fd, path) != OK) {
		goto fail;
	}
	close(fd);
	fd = open_file(path);
	if (fd < 0)
		return NULL;
	table = map_new(fd, calls);
	if (table != NULL)
		return table;
fail:
	close(fd);
	return NULL;
}

struct inflight *
inflight_map(const char *dir, size_t index, size_t calls)
{
	struct inflight *table;
	struct buf path;

	if (calls == 0 || calls > UINT32_MAX / 2) {
		errno = EINVAL;
		return NULL;
	}
	if (dir == NULL)
		return map_new(-1, calls);
	buf_init(&path, PATH_LENGTH);
	buf_addf(&path, "%s/" INFLIGHT_FILE "%zu", dir, index);
	table = buf_ok(&path) ? map_file(path.data, calls) : NULL;
	buf_fini(&path);
	return table;
}

void
inflight_unmap(struct inflight *table)
{
	if (table == NULL)
		return;
	(void)munmap(table->at, table->at->size);
	if (table->fd >= 0)
		close(table->fd);
	free(table);
}

bool
inflight_file_is_used(int dir_fd, const char *name)
{
	struct inflight_table head;
	bool used;
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return false;
	used = pread(fd, &head, sizeof(head), 0) == (ssize_t)sizeof(head) &&
	       head.format == FORMAT && is_used(&head);
	(void)close(fd); /* only read */
	return used;
}
