/*
 * cmd_account.h - what the commands about users and keys share.
 *
 * A command's result goes to stdout, whatever else it says to stderr.
 */
#ifndef PROCESS_CMD_ACCOUNT_H
#define PROCESS_CMD_ACCOUNT_H

#include <stdbool.h>

#include "base/uuid.h"
#include "config/config.h"
#include "db/db.h"

/* exit codes */
enum cmd_exit { CMD_OK = 0, CMD_FAILED = 1, CMD_USAGE = 2 };

/* Connected as the owner; NULL when that fails, which was said. */
struct db *cmd_connect(const struct config *config, const char *command);

/* Says what the database had against it. */
int cmd_db_failed(const struct db *db, const char *command, enum err err);

/* The id of the user with that name or e-mail; false when there is none, which
 * was said. */
bool cmd_find_user(struct db *db, const char *command, const char *name,
    char id[UUID_TEXT_SIZE]);

/* Adds to the audit log; user and object may be NULL. */
enum err cmd_audit(struct db *db, const char *user, const char *action,
    const char *object) MUST_CHECK;

/* Makes a key and prints it, alone, to stdout.  expires_at NULL: never. */
int cmd_make_key(struct db *db, const char *user, const char *name,
    const char *expires_at);

/* Prints rows of text columns, aligned, below headings (NULL-terminated). */
void cmd_print_rows(const struct db_rows *rows, const char *const *headings);

#endif /* PROCESS_CMD_ACCOUNT_H */
