/*
 * settings.h - the settings, looked at with all that the program knows.
 */
#ifndef PROCESS_SETTINGS_H
#define PROCESS_SETTINGS_H

#include "base/buf.h"
#include "base/err.h"
#include "config/config.h"

/* As config_load(); the databases' URLs have to be such that libpq takes. */
enum err settings_load(const char *file, struct buf *problems,
    struct config **out) MUST_CHECK;

#endif
