/*
 * stats.c - GET /api/user/stats.
 */
#include "api/stats.h"

#include "db/db.h"
#include "http/problem.h"
#include "http/response.h"

enum handled
stats_get(struct http_request *req)
{
	const char *args[1] = { req->who.user_text };
	struct db_rows *rows = NULL;
	enum handled handled;
	enum err err;

	err = db_query(req->db, DB_LOGGER_STATS, args, &rows);
	if (err == OK) {
		handled = response_json_text(req, 200, rows_text(rows, 0, 0),
		    rows_len(rows, 0, 0));
	} else {
		(void)request_fail(req, err, "stats: %s",
		    db_fault(req->db)->sqlstate);
		handled = problem_of(req, err);
	}
	rows_free(rows);
	return handled;
}
