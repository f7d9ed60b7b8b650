/*
 * failing.h - allocations that fail when a test says so.
 *
 * Included by at most one file of a program: it takes the place of libc's
 * functions.  failing_after(n) lets n allocations pass and fails all others
 * until failing_stop(), failing_at(n) only the next.
 */
#ifndef UNIT_FAILING_H
#define UNIT_FAILING_H

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static long failing_left = -1; /* allocations that pass; below 0: all */
static bool failing_hit;       /* one was refused */
static bool failing_once;      /* and no other is */

static inline void
failing_after(long passes)
{
	failing_hit = false;
	failing_once = false;
	failing_left = passes;
}

static inline void
failing_at(long passes)
{
	failing_after(passes);
	failing_once = true;
}

/* True if any allocation was refused since then. */
static inline bool
failing_stop(void)
{
	failing_left = -1;
	return failing_hit;
}

static bool
failing_now(void)
{
	if (failing_left < 0)
		return false;
	if (failing_left == 0) {
		failing_hit = true;
		if (failing_once)
			failing_left = -1;
		errno = ENOMEM;
		return true;
	}
	failing_left--;
	return false;
}

static void
failing_find(const char *name, void *out)
{
	void *found = dlsym(RTLD_NEXT, name);

	memcpy(out, &found, sizeof(found));
}

void *
malloc(size_t size)
{
	static void *(*real)(size_t);

	if (real == NULL)
		failing_find("malloc", &real);
	return failing_now() ? NULL : real(size);
}

void *
calloc(size_t count, size_t size)
{
	static void *(*real)(size_t, size_t);

	if (real == NULL)
		failing_find("calloc", &real);
	return failing_now() ? NULL : real(count, size);
}

void *
realloc(void *old, size_t size)
{
	static void *(*real)(void *, size_t);

	if (real == NULL)
		failing_find("realloc", &real);
	return failing_now() ? NULL : real(old, size);
}

void *
reallocarray(void *old, size_t count, size_t size)
{
	static void *(*real)(void *, size_t, size_t);

	if (real == NULL)
		failing_find("reallocarray", &real);
	return failing_now() ? NULL : real(old, count, size);
}

#endif /* UNIT_FAILING_H */
