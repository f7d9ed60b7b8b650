/*
 * prices.c - price lists: checked and imported by one statement each, so that
 * figures stay the decimal numbers that were written.
 */
#include "db/prices.h"

static void
describe(const struct db_rows *rows, struct buf *problem)
{
	if (!rows_is_null(rows, 0, 0))
		buf_addf(problem, "entry %s, ", rows_text(rows, 0, 0));
	buf_addf(problem, "%s: %s", rows_text(rows, 0, 1),
	    rows_text(rows, 0, 2));
}

static enum err
find_problem(struct db *db, const char *json, struct buf *problem)
{
	const char *args[] = { json };
	struct db_rows *rows = NULL;
	enum err err = db_query(db, DB_PRICES_PROBLEM, args, &rows);

	if (err == ERR_INPUT)
		buf_addf(problem, "not a price list: %s",
		    db_fault(db)->message);
	if (err == OK && rows_count(rows) > 0) {
		describe(rows, problem);
		err = ERR_INPUT;
	}
	rows_free(rows);
	return err;
}

enum err
prices_import(struct db *db, const char *json, const char *origin,
    struct prices_count *out, struct buf *problem)
{
	const char *args[] = { json, origin };
	struct db_rows *rows = NULL;
	enum err err = find_problem(db, json, problem);

	if (err != OK)
		return err;
	err = db_query(db, DB_PRICES_IMPORT, args, &rows);
	if (err != OK)
		return err;
	out->added = rows_int64(rows, 0, 0);
	out->changed = rows_int64(rows, 0, 1);
	out->unchanged = rows_int64(rows, 0, 2);
	rows_free(rows);
	return OK;
}
