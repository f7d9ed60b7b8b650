/*
 * arena.h - memory that lives as long as one request (or one parse).
 *
 * Everything is freed in one call.  Not thread-safe: an arena belongs to who
 * owns its request.  Functions return NULL when memory is short, or when any
 * pointer argument is NULL, so that chains can be checked once at their end.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "base/err.h"

struct arena;

/* A new, empty arena; NULL when memory is short.  arena_free(NULL) is legal. */
struct arena *arena_new(void);
void arena_free(struct arena *arena);

/* len zeroed bytes, aligned for any type; valid until arena_free(). */
void *arena_alloc(struct arena *arena, size_t len);

/* NUL-terminated copies. */
char *arena_strdup(struct arena *arena, const char *text);
char *arena_strndup(struct arena *arena, const char *text, size_t len);
char *arena_printf(struct arena *arena, const char *fmt, ...) PRINTF_LIKE(2, 3);

/*
 * Has fn(arg) called by arena_free(), last registered first.  On ERR_MEMORY
 * nothing is registered and the caller still owns arg.
 */
enum err arena_on_free(struct arena *arena, void (*fn)(void *),
    void *arg) MUST_CHECK;

#endif /* BASE_ARENA_H */
