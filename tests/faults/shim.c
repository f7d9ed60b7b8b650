/*
 * shim.c - preloaded into a program under test: calls that fail on demand.
 *
 * FAULT_FILE names a file; while its first line names a fault, and it applies
 * to the descriptor or path at hand, the call fails:
 *
 *	fsync-once PATH   one fsync or fdatasync of a file under PATH: EIO
 *	fsync PATH        every one
 *	write PATH        every write to a file under PATH: ENOSPC
 *	read-once PATH    one read of a file under PATH: EIO
 *	read PATH         every one
 *	stop-with-lock    the process stops while it has a lock that processes
 *	                  share, once
 *	hang              a thread that has given back such a lock goes no
 *	                  further, once
 *
 * SYNCED_UNDER=PATH: after each fdatasync of a file under PATH its length is
 * kept in FILE.synced, so that a test can take away what was not synced.
 * SYNC_TRACE=FILE: a line there after each write and sync under that PATH that
 * worked: "write SIZE PATH", "sync SIZE PATH" with the file's size, and of a
 * directory "sync 0 PATH"; after each rename "from 0 PATH" and "to SIZE PATH",
 * one after the other.
 *
 * MALLOC_FAILS=N: the N-th malloc, calloc or realloc from main() on fails, and
 * at its exit the process says how many there were: "shim: N allocations".
 * MALLOC_RATE=FILE: while the first 32-bit number in FILE is N, one in N fails,
 * at random; the second counts them.
 *
 * With either, SIGSEGV, SIGABRT and SIGFPE say in what object they came, and in what
 * function where its name is public: "shim: killed in PATH NAME".
 */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ROBUST 0x10 /* in the kind of a mutex of glibc */

/* Of glibc: what the replaced functions do, without dlsym's allocations. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);

static atomic_long allocations;
static atomic_long fails_at; /* 0: not read yet, -1: never */
static atomic_int is_up;     /* the libraries, and what this file needs */

struct rate {
	atomic_uint one_in, failed;
};
static struct rate *rate;

__attribute__((constructor)) static void
map_rate(void)
{
	const char *file = getenv("MALLOC_RATE");
	int fd = file == NULL ? -1 : open(file, O_RDWR | O_CLOEXEC);
	void *at;

	if (fd < 0)
		return;
	at = mmap(NULL, sizeof(*rate), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
	    0);
	close(fd);
	if (at != MAP_FAILED)
		rate = at;
}

static int
is_outside(const char *object)
{
	return strstr(object, "shim.so") != NULL ||
	       strstr(object, "libc.so") != NULL;
}

/* The first caller that is neither of this file nor of libc, and its first
 * frame in that object that has a name. */
static void
tell_where(int number)
{
	void *frames[32];
	int count = backtrace(frames, 32);
	const char *object = NULL;
	const char *function = "?";
	char text[PATH_MAX + 128];
	Dl_info info;

	for (int i = 0; i < count; i++) {
		if (dladdr(frames[i], &info) == 0 ||
		    (object == NULL && is_outside(info.dli_fname)))
			continue;
		if (object != NULL && strcmp(object, info.dli_fname) != 0)
			break;
		object = info.dli_fname;
		if (info.dli_sname != NULL) {
			function = info.dli_sname;
			break;
		}
	}
	snprintf(text, sizeof(text), "shim: killed in %s %s\n",
	    object == NULL ? "?" : object, function);
	(void)!write(STDERR_FILENO, text, strlen(text));
	signal(number, SIG_DFL);
	raise(number);
}

static int
fails_here(void)
{
	return getenv("MALLOC_RATE") != NULL || getenv("MALLOC_FAILS") != NULL;
}

__attribute__((constructor)) static void
watch_crashes(void)
{
	void *frame[1];

	if (!fails_here())
		return;
	(void)backtrace(frame, 1); /* loads what it needs while it can */
	atomic_store(&allocations, 0);
	atomic_store(&is_up, 1);
	signal(SIGSEGV, tell_where);
	signal(SIGABRT, tell_where);
	signal(SIGFPE, tell_where);
}

__attribute__((destructor)) static void
tell_allocations(void)
{
	if (getenv("MALLOC_FAILS") != NULL)
		fprintf(stderr, "shim: %ld allocations\n",
		    atomic_load(&allocations));
}

/* A thread that blocks all signals would be killed without a word. */
int
pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	static int (*next)(int, const sigset_t *, sigset_t *);
	sigset_t most;

	if (next == NULL)
		next = (int (*)(int, const sigset_t *,
		    sigset_t *))dlsym(RTLD_NEXT, "pthread_sigmask");
	if (set == NULL || how == SIG_UNBLOCK || !fails_here())
		return next(how, set, old);
	most = *set;
	sigdelset(&most, SIGSEGV);
	sigdelset(&most, SIGABRT);
	sigdelset(&most, SIGFPE);
	return next(how, &most, old);
}

static int
luck_fails(void)
{
	static __thread unsigned int dice;
	unsigned int one_in = rate == NULL ? 0 : atomic_load(&rate->one_in);

	if (one_in == 0)
		return 0;
	if (dice == 0)
		dice = (unsigned int)gettid() * 2654435761U | 1;
	dice ^= dice << 13;
	dice ^= dice >> 17;
	dice ^= dice << 5;
	if (dice % one_in != 0)
		return 0;
	atomic_fetch_add(&rate->failed, 1);
	errno = ENOMEM;
	return 1;
}

static int
allocation_fails(void)
{
	long at = atomic_load(&fails_at);

	if (luck_fails())
		return 1;
	if (!atomic_load(&is_up))
		return 0;
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

/* The first line of the fault file. */
static int
read_fault(char *line, size_t size)
{
	const char *file = getenv("FAULT_FILE");
	int in, got;

	if (file == NULL)
		return 0;
	in = open(file, O_RDONLY | O_CLOEXEC);
	if (in < 0)
		return 0;
	got = (int)syscall(SYS_read, in, line, size - 1);
	close(in);
	if (got <= 0)
		return 0;
	line[got] = '\0';
	line[strcspn(line, "\n")] = '\0';
	return 1;
}

/* Does the fault file say that kind fails for fd? */
static int
told(const char *kind, int fd)
{
	char line[PATH_MAX + 64] = "";
	char path[PATH_MAX];
	size_t len = strlen(kind);

	return read_fault(line, sizeof(line)) &&
	       strncmp(line, kind, len) == 0 && line[len] == ' ' &&
	       path_of(fd, path) &&
	       strncmp(path, line + len + 1, strlen(line + len + 1)) == 0;
}

static int
fails(const char *once, const char *always, int fd)
{
	int saved = errno;

	if (told(once, fd)) {
		if (unlink(getenv("FAULT_FILE")) != 0)
			return 0; /* another thread's was the one */
	} else if (!told(always, fd)) {
		errno = saved;
		return 0;
	}
	errno = EIO;
	return 1;
}

static int
sync_fails(int fd)
{
	return fails("fsync-once", "fsync", fd);
}

/* Is fd under PATH?  Then also its path and state. */
static int
is_watched(int fd, char path[PATH_MAX], struct stat *st)
{
	const char *under = getenv("SYNCED_UNDER");

	return under != NULL && path_of(fd, path) &&
	       strncmp(path, under, strlen(under)) == 0 && fstat(fd, st) == 0;
}

static void
trace(const char *what, const char *path, const struct stat *st)
{
	const char *file = getenv("SYNC_TRACE");
	int out;

	if (file == NULL)
		return;
	out = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (out < 0)
		abort();
	if (dprintf(out, "%s %lld %s\n", what,
		S_ISREG(st->st_mode) ? (long long)st->st_size : 0, path) < 0)
		abort();
	close(out);
}

static void
remember_written(int fd)
{
	char path[PATH_MAX];
	struct stat st;

	if (is_watched(fd, path, &st) && S_ISREG(st.st_mode))
		trace("write", path, &st);
}

static void
remember_synced(int fd)
{
	char path[PATH_MAX], name[PATH_MAX + 16];
	struct stat st;
	int out;

	if (!is_watched(fd, path, &st))
		return;
	trace("sync", path, &st);
	if (!S_ISREG(st.st_mode))
		return;
	snprintf(name, sizeof(name), "%s.synced", path);
	out = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (out < 0)
		return;
	if (dprintf(out, "%020lld\n", (long long)st.st_size) < 0)
		abort();
	close(out);
}

/* Two lines, but one write: none of another thread comes between them. */
static void
remember_renamed(int from_fd, const char *from, int to_fd, const char *to)
{
	const char *file = getenv("SYNC_TRACE");
	char from_dir[PATH_MAX], to_dir[PATH_MAX];
	struct stat st;
	int out;

	if (file == NULL || !is_watched(to_fd, to_dir, &st) ||
	    !path_of(from_fd, from_dir) ||
	    fstatat(to_fd, to, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return;
	out = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (out < 0)
		abort();
	if (dprintf(out, "from 0 %s/%s\nto %lld %s/%s\n", from_dir, from,
		(long long)st.st_size, to_dir, to) < 0)
		abort();
	close(out);
}

int
renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	static int (*next)(int, const char *, int, const char *);
	int done;

	if (next == NULL)
		next = (int (*)(int, const char *, int,
		    const char *))dlsym(RTLD_NEXT, "renameat");
	done = next(from_fd, from, to_fd, to);
	if (done == 0)
		remember_renamed(from_fd, from, to_fd, to);
	return done;
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
read(int fd, void *bytes, size_t len)
{
	static ssize_t (*next)(int, void *, size_t);

	if (next == NULL)
		next =
		    (ssize_t(*)(int, void *, size_t))dlsym(RTLD_NEXT, "read");
	if (fd > 2 && fails("read-once", "read", fd))
		return -1;
	return next(fd, bytes, len);
}

ssize_t
write(int fd, const void *bytes, size_t len)
{
	static ssize_t (*next)(int, const void *, size_t);
	ssize_t done;

	if (next == NULL)
		next = (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT,
		    "write");
	if (fd > 2 && told("write", fd)) {
		errno = ENOSPC;
		return -1;
	}
	done = next(fd, bytes, len);
	if (fd > 2 && done > 0)
		remember_written(fd);
	return done;
}

/* Is that the fault?  Then it is no more. */
static int
told_once(const char *fault)
{
	char line[PATH_MAX + 64] = "";

	return read_fault(line, sizeof(line)) && strcmp(line, fault) == 0 &&
	       unlink(getenv("FAULT_FILE")) == 0;
}

/* Locks that processes share are robust, others are not. */
int
pthread_mutex_unlock(pthread_mutex_t *mutex)
{
	static int (*next)(pthread_mutex_t *);
	int shared = (mutex->__data.__kind & ROBUST) != 0;
	int done;

	if (next == NULL)
		next = (int (*)(pthread_mutex_t *))dlsym(RTLD_NEXT,
		    "pthread_mutex_unlock");
	if (shared && told_once("stop-with-lock"))
		raise(SIGSTOP); /* this thread, so not after the next line */
	done = next(mutex);
	if (shared && told_once("hang")) {
		for (;;)
			pause();
	}
	return done;
}
