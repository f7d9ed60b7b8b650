/*
 * inflight_map.c - where the calls in hand are: a sparse file, or memory.
 */
#include "journal/inflight_table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"

#define FORMAT      0x6d696e7574656431u /* "minuted1" */
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
	/* The const is this function's only: slots are not const. */
	uintptr_t base = (uintptr_t)table;

	return (struct inflight_slot *)(base + table->slots +
					index * INFLIGHT_STRIDE);
}

/* What the head of a table for so many calls says. */
static void
set_layout(struct inflight *table, size_t calls)
{
	size_t page = page_size();
	size_t head = sizeof(struct inflight) + calls * sizeof(uint32_t);

	memset(table, 0, sizeof(*table));
	table->format = FORMAT;
	table->slot_head = sizeof(struct inflight_slot);
	table->row_size = sizeof(struct call_row);
	table->calls = calls;
	table->fd = -1;
	table->slots = (head + page - 1) / page * page;
	table->size = table->slots + calls * INFLIGHT_STRIDE;
}

static bool
same_layout(const struct inflight *a, const struct inflight *b)
{
	return a->format == b->format && a->slot_head == b->slot_head &&
	       a->row_size == b->row_size && a->calls == b->calls &&
	       a->size == b->size && a->slots == b->slots;
}

static struct inflight *
map(int fd, size_t size)
{
	int flags = fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED;
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    flags | MAP_NORESERVE, fd, 0);

	if (at == MAP_FAILED)
		return NULL;
	/* No read-ahead: the pages after a slot's first are rarely needed. */
	(void)madvise(at, size, MADV_RANDOM);
	return at;
}

/* An empty table; the file, if there is one, is empty. */
static struct inflight *
map_new(int fd, size_t calls)
{
	struct inflight fresh;
	struct inflight *table;

	set_layout(&fresh, calls);
	if (fd >= 0 && (ftruncate(fd, (off_t)fresh.size) != 0 ||
			   posix_fallocate(fd, 0, (off_t)fresh.slots) != 0))
		return NULL;
	table = map(fd, fresh.size);
	if (table == NULL)
		return NULL;
	memcpy(table, &fresh, sizeof(fresh));
	table->fd = fd;
	return table;
}

/* The table in the file: of this size and format, or of another size with
 * calls in it, which are not to be lost. */
static struct inflight *
map_old(int fd, size_t calls)
{
	struct inflight wanted;
	struct inflight *table;
	struct inflight head;
	struct stat st;

	if (pread(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
	    fstat(fd, &st) != 0)
		return NULL;
	if (head.count > 0 && head.calls <= UINT32_MAX / 2)
		calls = head.calls;
	set_layout(&wanted, calls);
	if (!same_layout(&wanted, &head) || (uint64_t)st.st_size != head.size ||
	    head.fresh > head.calls || head.free_count > head.calls)
		return NULL;
	table = map(fd, wanted.size);
	if (table != NULL)
		table->fd = fd;
	return table;
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
	struct inflight head = { .count = 0 };
	int fd = open_file(path);

	if (fd < 0)
		return NULL;
	table = map_old(fd, calls);
	if (table != NULL)
		return table;
	if (pread(fd, &head, sizeof(head), 0) == (ssize_t)sizeof(head) &&
	    head.format == FORMAT && head.count == 0) {
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
	buf_addf(&path, "%s/inflight.%zu", dir, index);
	table = buf_ok(&path) ? map_file(path.data, calls) : NULL;
	buf_fini(&path);
	return table;
}

void
inflight_unmap(struct inflight *table)
{
	int fd;

	if (table == NULL)
		return;
	fd = table->fd;
	(void)munmap(table, table->size);
	if (fd >= 0)
		close(fd);
}
