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

/*
 * What is said instead of a message that quotes a value from outside, in quotes
 * of the server's language; NULL: that message quotes none.
 */
const char *fault_words(const char *sqlstate);

#endif /* DB_FAULT_H */
