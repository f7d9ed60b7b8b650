/*
 * buf.c - growing byte buffer with a ceiling and a sticky failure.
 *
 * cap counts the byte of the NUL, len and max do not.
 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAP_FIRST ((size_t)256)

void
buf_init(struct buf *buf, size_t max)
{
	*buf = (struct buf){ .max = max };
}

void
buf_fini(struct buf *buf)
{
	free(buf->data);
	buf_init(buf, buf->max);
}

void
buf_reset(struct buf *buf)
{
	buf->len = 0;
	buf->failed = false;
	buf->starved = false;
	if (buf->data != NULL)
		buf->data[0] = '\0';
}

bool
buf_ok(const struct buf *buf)
{
	return !buf->failed;
}

const char *
buf_str(const struct buf *buf)
{
	return buf->data == NULL ? "" : buf->data;
}

static bool
grow(struct buf *buf, size_t need)
{
	size_t cap = buf->cap == 0 ? CAP_FIRST : buf->cap;
	char *data;

	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	if (cap - 1 > buf->max)
		cap = buf->max + 1;
	data = realloc(buf->data, cap);
	if (data == NULL)
		return false;
	buf->data = data;
	buf->cap = cap;
	return true;
}

/* Room for len more bytes and the NUL, or the failure is set. */
static bool
reserve(struct buf *buf, size_t len)
{
	if (buf->failed)
		return false;
	if (len > buf->max - buf->len || buf->len + len == SIZE_MAX) {
		buf->failed = true;
		return false;
	}
	if (buf->len + len < buf->cap)
		return true;
	if (grow(buf, buf->len + len + 1))
		return true;
	buf->failed = true;
	buf->starved = true;
	return false;
}

char *
buf_extend(struct buf *buf, size_t len)
{
	if (!reserve(buf, len))
		return NULL;
	buf->len += len;
	buf->data[buf->len] = '\0';
	return buf->data + buf->len - len;
}

void
buf_add(struct buf *buf, const void *data, size_t len)
{
	char *at = buf_extend(buf, len);

	if (at != NULL && len > 0)
		memcpy(at, data, len);
}

void
buf_adds(struct buf *buf, const char *text)
{
	buf_add(buf, text, strlen(text));
}

void
buf_addc(struct buf *buf, char byte)
{
	if (!reserve(buf, 1))
		return;
	buf->data[buf->len++] = byte;
	buf->data[buf->len] = '\0';
}

void
buf_addf(struct buf *buf, const char *fmt, ...)
{
	size_t room = buf->failed ? 0 : buf->cap - buf->len;
	char *end = room == 0 ? NULL : buf->data + buf->len;
	va_list args;
	int len;

	/* Mostly it fits; else this is how long it is. */
	va_start(args, fmt);
	len = vsnprintf(end, room, fmt, args);
	va_end(args);
	if (len >= 0 && (size_t)len < room) {
		buf->len += (size_t)len;
		return;
	}
	if (end != NULL)
		*end = '\0';
	if (len < 0) {
		buf->failed = true;
		return;
	}
	if (!reserve(buf, (size_t)len))
		return;
	va_start(args, fmt);
	/* Room for len and the NUL was made above. */
	(void)vsnprintf(buf->data + buf->len, (size_t)len + 1, fmt, args);
	va_end(args);
	buf->len += (size_t)len;
}

void
buf_drop_front(struct buf *buf, size_t len)
{
	if (len == 0 || buf->data == NULL)
		return;
	if (len > buf->len)
		len = buf->len;
	buf->len -= len;
	memmove(buf->data, buf->data + len, buf->len + 1);
}

enum err
buf_take(struct buf *buf, char **out, size_t *len)
{
	*out = NULL;
	if (len != NULL)
		*len = 0;
	buf_add(buf, "", 0); /* even an empty one has its NUL */
	if (buf->failed)
		return buf->starved ? ERR_MEMORY : ERR_TOO_LARGE;
	*out = buf->data;
	if (len != NULL)
		*len = buf->len;
	buf_init(buf, buf->max);
	return OK;
}
