/*
 * db.h - one connection to PostgreSQL, owned by one thread.
 *
 * Statements are files, sql/queries/<family>/<verb>.sql, compiled into
 * "db/statements.h" as enum db_stmt DB_<FAMILY>_<VERB> (upper case) and
 * prepared by name on first use of each connection generation (one with a line
 * "-- planned anew: ..." is planned at each use instead).  Every object is
 * schema-qualified; parameters are always bound, as text.  Columns come as text
 * too, or from a statement with a line "-- in binary: ..." as PostgreSQL sends
 * them fastest: then only text and JSON may be read as text.
 *
 * A lost connection is made again with backoff (100 ms doubling to 800, all
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
#include "base/uuid.h"
#include "db/statements.h" /* made by sql/statements.awk */

struct buf;
struct crowd; /* crowd.h */
struct db;
struct db_rows;

struct db_options {
	const char *url;         /* libpq conninfo or URI; borrowed */
	const char *application; /* borrowed, e.g. "minuted worker" */
	int64_t statement_ms;    /* 0: no limit, and then no deadline */
	int64_t lock_ms;         /* 0: no limit */
	struct crowd *crowd; /* borrowed; who waits too.  NULL: any number */
};

/*
 * Is url one that libpq takes, as far as can be said without connecting?  If
 * not, appends to problem what is wrong with it, never quoting a value: it may
 * be a password.
 */
bool db_url_is_valid(const char *url, struct buf *problem) MUST_CHECK;

/* Does not connect yet.  NULL when memory is short. */
struct db *db_new(const struct db_options *options);
void db_free(struct db *db);

/* Connects now if not connected.  ERR_BUSY while PostgreSQL is away. */
enum err db_connect(struct db *db) MUST_CHECK;

/*
 * Runs stmt with its args (as many as it has parameters; NULL is SQL null).
 * rows may be NULL when nothing is wanted of them; else the caller owns *rows.
 * ERR_CONFLICT on 23505, ERR_INPUT on class 22 and other 23, ERR_TIMEOUT on
 * 57014 and 55P03, ERR_BUSY when PostgreSQL is away, full, shutting down, or
 * slow and enough of the crowd wait for it;
 * detail is in db_fault().  A statement outside a transaction that found its
 * connection dead before anything was sent is tried once on a new one.  One that
 * was prepared before a migration is prepared again, outside a transaction and as
 * the first in one; later in one it is ERR_BUSY, and the next transaction does.
 */
enum err db_query(struct db *db, enum db_stmt stmt, const char *const *args,
    struct db_rows **rows) MUST_CHECK;

/* sqlstate of ERR_BUSY because of the crowd: PostgreSQL is there. */
#define DB_CROWDED "MN001"
/* sqlstate of ERR_TIMEOUT because the connection was dropped: PostgreSQL may
 * still do what it was sent.  With 57014 it has done nothing. */
#define DB_LATE "MN002"

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
/* A commit when err, what became of the transaction so far, is OK, else a
 * rollback; err, or what the commit came to. */
enum err db_end(struct db *db, enum err err) MUST_CHECK;

/*
 * A transaction around those of others: until db_unwrap() their begin and commit
 * do nothing, and their rollback leaves only that of the whole.  db_unwrap() is
 * db_end().
 */
enum err db_wrap(struct db *db) MUST_CHECK;
enum err db_unwrap(struct db *db, enum err err) MUST_CHECK;
bool db_is_wrapped(const struct db *db);
/* Has a statement in the transaction failed, or a rollback been asked for? */
bool db_is_broken(const struct db *db);

/* Rows: borrowed text lives until rows_free(); NULL columns are NULL. */
size_t rows_count(const struct db_rows *rows);
const char *rows_text(const struct db_rows *rows, size_t row, size_t col);
size_t rows_len(const struct db_rows *rows, size_t row, size_t col);
/* 0 on null */
int64_t rows_int64(const struct db_rows *rows, size_t row, size_t col);
bool rows_bool(const struct db_rows *rows, size_t row, size_t col);
/* False: null, or none. */
bool rows_uuid(const struct db_rows *rows, size_t row, size_t col,
    struct uuid *out);
/* A timestamptz in microseconds since 1970; 0 on null, and for an infinite one
 * or one of the year 294246 or later. */
int64_t rows_wall_us(const struct db_rows *rows, size_t row, size_t col);
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

/*
 * One or more COPY ... FROM STDIN (text format) in one text, which is one
 * transaction unless one is open, and the rows of each, newline-ended.
 */
struct db_lines {
	const char *text;
	size_t len;
};
enum err db_copy(struct db *db, const char *sql, const struct db_lines *lines,
    size_t count) MUST_CHECK;

/*
 * LISTEN support: the descriptor to poll (-1 when down), and the next waiting
 * notification, copied into channel and payload; ERR_MISSING when there is
 * none, ERR_BUSY when the connection is lost.
 */
int db_fd(const struct db *db);
enum err db_notification(struct db *db, char *channel, size_t channel_size,
    char *payload, size_t payload_size) MUST_CHECK;

/* "15.18" of the libpq that this was built with. */
const char *db_library_version(void);

/* Grows with every connection made: LISTEN and temporary tables of an earlier
 * generation are gone.  0: never connected. */
uint64_t db_generation(const struct db *db);

#endif /* DB_DB_H */
