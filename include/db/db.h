/*
 * db.h - one connection to PostgreSQL, owned by one thread.
 *
 * Statements are files, sql/queries/<family>/<verb>.sql, compiled into
 * "db/statements.h" as enum db_stmt DB_<FAMILY>_<VERB> (upper case) and
 * prepared by name on first use of each connection generation (one with a line
 * "-- planned anew: ..." is planned at each use instead).  Every object is
 * schema-qualified; parameters are always bound, as text.
 *
 * A lost connection is made again with backoff (100 ms doubling to 1 s, all
 * connections of a process share the verdict): until then calls return
 * ERR_BUSY at once instead of hanging.  Every call has a deadline: statement
 * timeout plus a second, after which the connection is dropped (ERR_TIMEOUT).
 */
#ifndef DB_DB_H
#define DB_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "db/statements.h" /* made by sql/statements.awk */

struct db;
struct db_rows;

struct db_options {
	const char *url;         /* libpq conninfo or URI; borrowed */
	const char *application; /* borrowed, e.g. "minuted worker" */
	int64_t statement_ms;    /* 0: no limit, and then no deadline */
	int64_t lock_ms;         /* 0: no limit */
};

/* Does not connect yet.  NULL when memory is short. */
struct db *db_new(const struct db_options *options);
void db_free(struct db *db);

/* Connects now if not connected.  ERR_BUSY while PostgreSQL is away. */
enum err db_connect(struct db *db) MUST_CHECK;
bool db_is_up(const struct db *db); /* as of the last call */

/*
 * Runs stmt with its args (as many as it has parameters; NULL is SQL null).
 * rows may be NULL when nothing is wanted of them; else the caller owns *rows.
 * ERR_CONFLICT on 23505, ERR_INPUT on class 22 and other 23, ERR_TIMEOUT on
 * 57014 and 55P03, ERR_BUSY when PostgreSQL is away, full or shutting down;
 * detail is in db_fault().  A statement outside a transaction that found its
 * connection dead before anything was sent is tried once on a new one.
 */
enum err db_query(struct db *db, enum db_stmt stmt, const char *const *args,
    struct db_rows **rows) MUST_CHECK;

/* Detail of the last failure, for the log: never for a client. */
struct db_fault {
	char sqlstate[6];
	char constraint[64];
	char message[256];
};
const struct db_fault *db_fault(const struct db *db);

/* Transactions.  After any error in one only db_rollback() is legal; a begin or
 * commit that failed leaves none open, and a rollback after it is harmless. */
enum err db_begin(struct db *db) MUST_CHECK;
enum err db_commit(struct db *db) MUST_CHECK;
void db_rollback(struct db *db);

/* Rows: borrowed text lives until rows_free(); NULL columns are NULL. */
size_t rows_count(const struct db_rows *rows);
int64_t rows_affected(const struct db_rows *rows);
const char *rows_text(const struct db_rows *rows, size_t row, size_t col);
size_t rows_len(const struct db_rows *rows, size_t row, size_t col);
/* 0 on null */
int64_t rows_int64(const struct db_rows *rows, size_t row, size_t col);
bool rows_bool(const struct db_rows *rows, size_t row, size_t col);
bool rows_is_null(const struct db_rows *rows, size_t row, size_t col);
void rows_free(struct db_rows *rows); /* accepts NULL */

/*
 * Streams a large result a row at a time (single-row mode), for exports:
 * each(arg, rows) gets a one-row result, borrowed; not OK from it cancels the
 * statement and is returned.
 */
enum err db_each(struct db *db, enum db_stmt stmt, const char *const *args,
    enum err (*each)(void *arg, const struct db_rows *row),
    void *arg) MUST_CHECK;

/* SQL given as text, many statements allowed, outside the statement table:
 * migrations, command-line tools and LISTEN only. */
enum err db_script(struct db *db, const char *sql) MUST_CHECK;

/* COPY ... FROM STDIN (text format): sql, then the rows, newline-ended. */
enum err db_copy(struct db *db, const char *sql, const char *rows,
    size_t len) MUST_CHECK;

/*
 * LISTEN support: the descriptor to poll (-1 when down), and the next waiting
 * notification, copied into channel and payload; ERR_MISSING when there is
 * none, ERR_BUSY when the connection is lost.
 */
int db_fd(const struct db *db);
enum err db_notification(struct db *db, char *channel, size_t channel_size,
    char *payload, size_t payload_size) MUST_CHECK;

/* "15.18" of the server, "" when not connected. */
const char *db_server_version(const struct db *db);

/* "15.18" of the libpq that this was built with. */
const char *db_library_version(void);

/* Grows with every connection made: LISTEN and temporary tables of an earlier
 * generation are gone.  0: never connected. */
uint64_t db_generation(const struct db *db);

#endif /* DB_DB_H */
