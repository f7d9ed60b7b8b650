/*
 * config_value.h - from the text of a setting to its field, and back.
 */
#ifndef CONFIG_CONFIG_VALUE_H
#define CONFIG_CONFIG_VALUE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "config/config_table.h"

/* A heap copy of len bytes and a NUL; NULL when memory is short.  forget wipes
 * and frees one; NULL is legal. */
char *config_copy(const char *text, size_t len);
void config_forget(char *text);

/* Does name end in _API_KEY, with something before it? */
bool config_is_key(const char *name);

/* "string", "duration" ...: what config_table_json() says; never NULL. */
const char *config_kind_name(enum config_kind kind);

/* Does the kind's field hold text? */
bool config_kind_is_text(enum config_kind kind);

/*
 * Reads text into the option's field.  ERR_INPUT with one line in problems
 * and the field untouched, ERR_MEMORY.
 */
enum err config_value_set(const struct config_option *option, const char *text,
    struct config *config, struct buf *problems) MUST_CHECK;

/* The field's value as it could be written in the file; secrets too. */
void config_value_text(const struct config_option *option,
    const struct config *config, struct buf *out);

#endif /* CONFIG_CONFIG_VALUE_H */
