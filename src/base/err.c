/*
 * err.c - the names of results.
 */
#include "base/err.h"

const char *
err_name(enum err err)
{
	static const char *const names[ERR_COUNT] = {
		[OK] = "ok",
		[ERR_INPUT] = "input",
		[ERR_AUTH] = "auth",
		[ERR_FORBIDDEN] = "forbidden",
		[ERR_MISSING] = "missing",
		[ERR_METHOD] = "method",
		[ERR_CONFLICT] = "conflict",
		[ERR_TOO_LARGE] = "too_large",
		[ERR_MEDIA] = "media",
		[ERR_LIMIT] = "limit",
		[ERR_BUSY] = "busy",
		[ERR_UPSTREAM] = "upstream",
		[ERR_TIMEOUT] = "timeout",
		[ERR_GONE] = "gone",
		[ERR_MEMORY] = "memory",
		[ERR_SYSTEM] = "system",
		[ERR_BUG] = "bug",
	};

	if ((unsigned int)err >= ERR_COUNT)
		return "unknown";
	return names[err];
}
