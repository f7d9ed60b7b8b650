/*
 * arena.c - memory that lives as long as one request.
 *
 * A list of chunks, newest first; only the newest small one is filled.  The
 * arena itself lies at the start of its first chunk, which is freed last.
 */
#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIGN       ((size_t)16)
#define CHUNK_FIRST ((size_t)4096) /* a small request needs no second one */
#define CHUNK_NEXT  ((size_t)16384)
#define LARGE       ((size_t)4096) /* from here on a chunk of its own */
#define BRIEF       256            /* a text that is printed once only */

struct chunk {
	_Alignas(16) struct chunk *next;
	size_t used; /* of size, the header included */
	size_t size;
};

struct cleanup {
	struct cleanup *next;
	void (*fn)(void *);
	void *arg;
};

struct arena {
	_Alignas(16) struct chunk *current; /* filled now; older ones follow */
	struct chunk *large;                /* one allocation each */
	struct cleanup *cleanups;           /* last registered first */
};

static struct chunk *
chunk_new(size_t size)
{
	struct chunk *chunk = malloc(size);

	if (chunk == NULL)
		return NULL;
	chunk->next = NULL;
	chunk->used = sizeof(*chunk);
	chunk->size = size;
	return chunk;
}

static void *
chunk_cut(struct chunk *chunk, size_t len)
{
	void *at = (char *)chunk + chunk->used;

	chunk->used += len;
	return memset(at, 0, len);
}

static void
chunks_free(struct chunk *chunk)
{
	struct chunk *next;

	for (; chunk != NULL; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
}

struct arena *
arena_new(void)
{
	struct chunk *chunk = chunk_new(CHUNK_FIRST);
	struct arena *arena;

	if (chunk == NULL)
		return NULL;
	arena = chunk_cut(chunk, sizeof(*arena));
	arena->current = chunk;
	return arena;
}

void
arena_free(struct arena *arena)
{
	struct cleanup *cleanup;

	if (arena == NULL)
		return;
	/* A clean-up may register another one: take them off one by one. */
	while (arena->cleanups != NULL) {
		cleanup = arena->cleanups;
		arena->cleanups = cleanup->next;
		cleanup->fn(cleanup->arg);
	}
	chunks_free(arena->large);
	chunks_free(arena->current);
}

static void *
alloc_large(struct arena *arena, size_t len)
{
	struct chunk *chunk = chunk_new(sizeof(*chunk) + len);

	if (chunk == NULL)
		return NULL;
	chunk->next = arena->large;
	arena->large = chunk;
	return chunk_cut(chunk, len);
}

void *
arena_alloc(struct arena *arena, size_t len)
{
	struct chunk *chunk;

	if (arena == NULL || len > SIZE_MAX / 2)
		return NULL;
	len = len == 0 ? ALIGN : (len + ALIGN - 1) & ~(ALIGN - 1);
	if (len <= arena->current->size - arena->current->used)
		return chunk_cut(arena->current, len);
	if (len >= LARGE)
		return alloc_large(arena, len);
	chunk = chunk_new(CHUNK_NEXT);
	if (chunk == NULL)
		return NULL;
	chunk->next = arena->current;
	arena->current = chunk;
	return chunk_cut(chunk, len);
}

char *
arena_strdup(struct arena *arena, const char *text)
{
	if (text == NULL)
		return NULL;
	return arena_strndup(arena, text, strlen(text));
}

char *
arena_strndup(struct arena *arena, const char *text, size_t len)
{
	char *copy;

	if (text == NULL || len == SIZE_MAX)
		return NULL;
	copy = arena_alloc(arena, len + 1);
	if (copy != NULL)
		memcpy(copy, text, len);
	return copy;
}

char *
arena_printf(struct arena *arena, const char *fmt, ...)
{
	char brief[BRIEF];
	va_list args;
	char *text;
	int len;

	if (arena == NULL || fmt == NULL)
		return NULL;
	va_start(args, fmt);
	len = vsnprintf(brief, sizeof(brief), fmt, args);
	va_end(args);
	if (len < 0)
		return NULL;
	if ((size_t)len < sizeof(brief))
		return arena_strndup(arena, brief, (size_t)len);
	text = arena_alloc(arena, (size_t)len + 1);
	if (text == NULL)
		return NULL;
	va_start(args, fmt);
	(void)vsnprintf(text, (size_t)len + 1, fmt, args); /* measured above */
	va_end(args);
	return text;
}

enum err
arena_on_free(struct arena *arena, void (*fn)(void *), void *arg)
{
	struct cleanup *cleanup;

	if (fn == NULL || arg == NULL)
		return ERR_MEMORY;
	cleanup = arena_alloc(arena, sizeof(*cleanup));
	if (cleanup == NULL)
		return ERR_MEMORY;
	cleanup->fn = fn;
	cleanup->arg = arg;
	cleanup->next = arena->cleanups;
	arena->cleanups = cleanup;
	return OK;
}
