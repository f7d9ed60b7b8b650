/*
 * log.h - one JSON object a line on stderr, written with one write(2).
 *
 * Text is escaped, so no input can forge a line; lines are cut at 8 KiB.
 * Never pass a token, password, key, message text or SQL parameter.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdint.h>

#include "base/err.h"

enum log_level { LOG_ERROR = 0, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Before threads start; the level is constant after. */
void log_setup(enum log_level most, const char *role /* "worker 1" */);

/* log_error, log_warn and log_info write {"time","level","role","message"};
 * log_warn_errno appends strerror(errno).  errno is preserved. */
void log_error(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_warn(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_warn_errno(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_info(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_debug(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* A line of named fields: security events and the line of each request. */
struct log_field {
	const char *name;
	const char *text; /* untrusted text, escaped; NULL: number is used */
	int64_t number;
};
void log_fields(enum log_level level, const char *message,
    const struct log_field *fields, int count);

#endif /* BASE_LOG_H */
