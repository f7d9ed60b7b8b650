/*
 * fault.h - what an SQLSTATE means to the program.
 */
#ifndef DB_FAULT_H
#define DB_FAULT_H

#include <stdbool.h>

#include "base/err.h"

/* As db_query() promises; ERR_BUG for what a correct program never causes. */
enum err fault_err(const char *sqlstate);

/* The server no longer has the prepared statement, or not in this shape. */
bool fault_is_stale_statement(const char *sqlstate);

/* The message quotes a value that came from outside. */
bool fault_quotes_value(const char *sqlstate);

#endif /* DB_FAULT_H */
