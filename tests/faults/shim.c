/*
 * shim.c - preloaded into a program under test: calls that fail on demand.
 *
 * FAULT_FILE names a file; while its first line names a fault, and it applies
 * to the descriptor or path at hand, the call fails:
 *
 *	fsync-once PATH   one fsync or fdatasync of a file under PATH: EIO
 *	fsync PATH        every one
 *	write PATH        every write to a file under PATH: ENOSPC
 *
 * SYNCED_UNDER=PATH: after each fdatasync of a file under PATH its length is
 * kept in FILE.synced, so that a test can take away what was not synced.
 *
 * MALLOC_FAILS=N: the N-th malloc, calloc or realloc of the process fails.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of glibc: what the replaced functions do, without dlsym's allocations. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);

static atomic_long allocations;
static atomic_long fails_at; /* 0: not read yet, -1: never */

static int
allocation_fails(void)
{
	long at = atomic_load(&fails_at);

	if (at == 0) {
		const char *text = getenv("MALLOC_FAILS");

		at = text == NULL ? -1 : strtol(text, NULL, 10);
		atomic_store(&fails_at, at);
	}
	if (at < 0 || atomic_fetch_add(&allocations, 1) + 1 != at)
		return 0;
	errno = ENOMEM;
	return 1;
}

void *
malloc(size_t size)
{
	return allocation_fails() ? NULL : __libc_malloc(size);
}

void *
calloc(size_t count, size_t size)
{
	return allocation_fails() ? NULL : __libc_calloc(count, size);
}

void *
realloc(void *old, size_t size)
{
	return allocation_fails() ? NULL : __libc_realloc(old, size);
}

static int
path_of(int fd, char path[PATH_MAX])
{
	char link[64];
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, PATH_MAX - 1);
	if (len < 0)
		return 0;
	path[len] = '\0';
	return 1;
}

/* Does the fault file say that kind fails for fd? */
static int
told(const char *kind, int fd)
{
	const char *file = getenv("FAULT_FILE");
	char line[PATH_MAX + 64] = "";
	char path[PATH_MAX];
	size_t len = strlen(kind);
	int in, got;

	if (file == NULL)
		return 0;
	in = open(file, O_RDONLY | O_CLOEXEC);
	if (in < 0)
		return 0;
	got = (int)read(in, line, sizeof(line) - 1);
	close(in);
	if (got <= 0)
		return 0;
	line[strcspn(line, "\n")] = '\0';
	return strncmp(line, kind, len) == 0 && line[len] == ' ' &&
	       path_of(fd, path) &&
	       strncmp(path, line + len + 1, strlen(line + len + 1)) == 0;
}

static int
sync_fails(int fd)
{
	int saved = errno;

	if (told("fsync-once", fd)) {
		if (unlink(getenv("FAULT_FILE")) != 0)
			return 0; /* another thread's was the one */
	} else if (!told("fsync", fd)) {
		errno = saved;
		return 0;
	}
	errno = EIO;
	return 1;
}

static void
remember_synced(int fd)
{
	const char *under = getenv("SYNCED_UNDER");
	char path[PATH_MAX], name[PATH_MAX + 16];
	struct stat st;
	int out;

	if (under == NULL || !path_of(fd, path) ||
	    strncmp(path, under, strlen(under)) != 0 || fstat(fd, &st) != 0 ||
	    !S_ISREG(st.st_mode))
		return;
	snprintf(name, sizeof(name), "%s.synced", path);
	out = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (out < 0)
		return;
	if (dprintf(out, "%020lld\n", (long long)st.st_size) < 0)
		abort();
	close(out);
}

int
fdatasync(int fd)
{
	static int (*next)(int);
	int done;

	if (next == NULL)
		next = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
	if (sync_fails(fd))
		return -1;
	done = next(fd);
	if (done == 0)
		remember_synced(fd);
	return done;
}

int
fsync(int fd)
{
	static int (*next)(int);
	int done;

	if (next == NULL)
		next = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
	if (sync_fails(fd))
		return -1;
	done = next(fd);
	if (done == 0)
		remember_synced(fd);
	return done;
}

ssize_t
write(int fd, const void *bytes, size_t len)
{
	static ssize_t (*next)(int, const void *, size_t);

	if (next == NULL)
		next = (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT,
		    "write");
	if (fd > 2 && told("write", fd)) {
		errno = ENOSPC;
		return -1;
	}
	return next(fd, bytes, len);
}
