/*
 * buf.h - growing byte buffer with a ceiling and a sticky failure.
 *
 * Callers append freely and ask once, by buf_ok() or buf_take(), whether
 * everything fitted.  No append can overflow, truncate silently or be
 * half-checked.  data is always NUL-terminated once anything was appended.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct buf {
	char *data;
	size_t len;
	size_t cap;
	size_t max;   /* refuse to grow past this many bytes */
	bool failed;  /* set once, stays set until buf_fini() or buf_reset() */
	bool starved; /* failed for want of memory, not for the ceiling */
};

void buf_init(struct buf *buf, size_t max);
void buf_fini(struct buf *buf);  /* frees; the buffer can be used again */
void buf_reset(struct buf *buf); /* len 0, failure cleared, memory kept */
bool buf_ok(const struct buf *buf);
const char *buf_str(const struct buf *buf); /* "" when empty; borrowed */

void buf_add(struct buf *buf, const void *data, size_t len);
void buf_adds(struct buf *buf, const char *text);
void buf_addc(struct buf *buf, char byte);
void buf_addf(struct buf *buf, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* len bytes more, for the caller to write at once; NULL when it failed. */
char *buf_extend(struct buf *buf, size_t len);
void buf_drop_front(struct buf *buf, size_t len); /* forget the first len */

/*
 * Hands the bytes, NUL-terminated, to the caller, who frees them with free().
 * The buffer is empty after.  ERR_TOO_LARGE over the ceiling, ERR_MEMORY: then
 * *out is NULL and the buffer stays as it is.  len may be NULL.
 */
enum err buf_take(struct buf *buf, char **out, size_t *len) MUST_CHECK;

#endif /* BASE_BUF_H */
