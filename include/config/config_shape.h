/*
 * config_shape.h - what a text setting must look like: URLs, hosts, lists.
 */
#ifndef CONFIG_CONFIG_SHAPE_H
#define CONFIG_CONFIG_SHAPE_H

#include <stdbool.h>

#include "config/config_table.h"

/*
 * Writes text, in the form that struct config holds, to out, which has room
 * for all of it and a NUL.  False when the kind's text looks otherwise; an
 * empty one is right.
 */
bool config_shape_tidy(enum config_kind kind, const char *text, char *out);

/* What a problem line says after "expected"; never NULL. */
const char *config_shape_expected(enum config_kind kind);

#endif /* CONFIG_CONFIG_SHAPE_H */
