/*
 * logrows.h - a list of logs on its way to the client, newest first.
 *
 *	struct logrows rows;
 *	logrows_init(&rows, req, &shape, format);
 *	rows.args[4] = ...; filters
 *	return logrows_page(&rows, limit);  or  logrows_export(&rows);
 *
 * The objects are made here and not by PostgreSQL: for a million rows that is
 * half of the time.
 */
#ifndef API_LOGROWS_H
#define API_LOGROWS_H

#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/uuid.h"
#include "db/db.h"
#include "http/request.h"
#include "json/write.h"

#define LOGROWS_ARGS_MAX 12

struct logrows_column {
	const char *name;
	bool json; /* it holds JSON, else text */
};

/*
 * The rows of stmt: microseconds since 1970, then columns, the first of which
 * is the id.  Its parameters: $1 user, $2 limit, $3 time and $4 id that the
 * list goes on after (null: from the newest), then filters, then the ids that
 * find has for the same ones when a text is looked for.
 */
struct logrows_shape {
	const char *file; /* "event-logs.csv" */
	enum db_stmt stmt;
	enum db_stmt find; /* one of search/find_*.sql */
	size_t ids;        /* the place of the ids among the parameters */
	const struct logrows_column *columns;
	size_t column_count;
};

enum logrows_format { LOGROWS_JSON, LOGROWS_CSV, LOGROWS_NDJSON };

struct logrows {
	struct http_request *req;
	const struct logrows_shape *shape;
	enum logrows_format format;
	const char *args[LOGROWS_ARGS_MAX];
	const char *q; /* what is looked for in texts, or NULL */

	/* its own */
	struct jsonw json;
	int64_t limit;
	int64_t got; /* rows of the statement that runs */
	bool more;
	int64_t last_us; /* of the last row that was written */
	char last_time[CLOCK_TEXT_SIZE];
	char last_id[UUID_TEXT_SIZE];
};

void logrows_init(struct logrows *rows, struct http_request *req,
    const struct logrows_shape *shape, enum logrows_format format);

/* Goes on after cursor, as of query_cursor(); ERR_INPUT: not one of this. */
enum err logrows_after(struct logrows *rows, const char *cursor) MUST_CHECK;

/* At most limit rows, and Link to the next page; fewer when they are large. */
enum handled logrows_page(struct logrows *rows, int64_t limit);

/*
 * All rows, streamed in constant memory, in a thread that may block.  An
 * export that breaks off has a last line that says so.
 */
enum handled logrows_export(struct logrows *rows);

#endif /* API_LOGROWS_H */
