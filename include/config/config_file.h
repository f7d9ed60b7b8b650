/*
 * config_file.h - the settings file: NAME=value lines.
 *
 * Blank lines and lines that begin with # say nothing; "export " before a name
 * is allowed.  A value ends with its line or at a blank followed by #; blanks
 * around it are dropped.  In quotes, '...' or "...", everything up to the same
 * quote is the value as it is.
 */
#ifndef CONFIG_CONFIG_FILE_H
#define CONFIG_CONFIG_FILE_H

#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

#define CONFIG_FILE_MAX (1024 * 1024) /* a settings file, not a data file */

struct config_entry {
	char *name;
	char *value;
	int line;
};

struct config_file {
	struct config_entry *entries;
	size_t len;
	size_t cap;
	mode_t mode; /* its permission bits */
};

/*
 * Reads all of the file at path into *out, which the caller frees with
 * config_file_fini() whatever the result.  Each mistake adds one line to
 * problems and leaves its line out; the result is OK then too.  ERR_MEMORY.
 */
enum err config_file_read(const char *path, struct buf *problems,
    struct config_file *out) MUST_CHECK;
void config_file_fini(struct config_file *file); /* wipes */

/* The value of name, "" when it is not in the file. */
const char *config_file_get(const struct config_file *file, const char *name);

#endif /* CONFIG_CONFIG_FILE_H */
