/*
 * sessions.c - the kept runs of the playground: list, read, delete.
 *
 * The JSON is made by the statements; a session of another user is one that is
 * not there.
 */
#include "api/sessions.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "api/app.h"
#include "api/playground.h"
#include "base/uuid.h"
#include "db/db.h"
#include "http/problem.h"
#include "http/query.h"
#include "http/response.h"

#define SIZE_DEFAULT 20
#define SIZE_CEILING 100 /* of pageSize, which is clamped */
#define LIMIT_MAX    200
#define NUMBER_MAX   1000000000

struct page {
	int64_t number; /* from 1 */
	int64_t size;
	const char *after; /* the id it comes after; NULL: found by number */
};

static enum handled
refuse(struct http_request *req, enum err err)
{
	if (err == ERR_MISSING)
		return problem_reply(req, err, "there is no such session");
	(void)request_fail(req, err, "sessions: %s",
	    db_fault(req->db)->sqlstate);
	return problem_of(req, err);
}

/* Any integer is taken, and moved to where it is legal. */
static void
read_size(struct http_request *req, struct problem_fields *bad,
    struct page *page)
{
	const char *text = request_query(req, "pageSize");
	const char *digits;

	if (text == NULL)
		return;
	digits = text + (*text == '-');
	if (*digits == '\0' || digits[strspn(digits, "0123456789")] != '\0') {
		problem_field(bad, "pageSize", "must be an integer");
		return;
	}
	page->size =
	    strtoll(text, NULL, 10); /* what overflows is clamped too */
	if (page->size < 1)
		page->size = 1;
	if (page->size > SIZE_CEILING)
		page->size = SIZE_CEILING;
}

/* A cursor is "<page number>|<id>". */
static void
read_cursor(struct http_request *req, struct problem_fields *bad,
    struct page *page)
{
	const char *cursor = NULL;
	struct uuid id;
	char *end;

	query_cursor(req, bad, &cursor);
	if (cursor == NULL)
		return;
	page->number = strtoll(cursor, &end, 10);
	if (page->number < 1 || page->number > NUMBER_MAX || *end != '|' ||
	    uuid_parse(end + 1, &id) != OK)
		problem_field(bad, "cursor", "must be a cursor of this list");
	page->after = end + 1;
}

static void
read_page(struct http_request *req, struct problem_fields *bad,
    struct page *page)
{
	*page = (struct page){ .number = 1, .size = SIZE_DEFAULT };
	query_int(req, bad, "page", 1, NUMBER_MAX, &page->number);
	read_size(req, bad, page);
	query_int(req, bad, "limit", 1, LIMIT_MAX, &page->size);
	read_cursor(req, bad, page);
}

static const char *
number(struct http_request *req, int64_t value)
{
	return arena_printf(req->arena, "%" PRId64, value);
}

static enum err
query_page(struct http_request *req, const struct page *page,
    struct db_rows **rows)
{
	int64_t offset =
	    page->after != NULL ? 0 : (page->number - 1) * page->size;
	const char *args[6] = {
		req->who.user_text,
		number(req, page->size),
		number(req, offset),
		page->after,
		number(req, page->number),
		number(req, playground_patience_ms(req->app->config)),
	};

	if (args[1] == NULL || args[2] == NULL || args[4] == NULL ||
	    args[5] == NULL)
		return ERR_MEMORY;
	return db_query(req->db, DB_PLAYGROUND_LIST, args, rows);
}

static void
link_next(struct http_request *req, const struct page *page, const char *last)
{
	const char *cursor =
	    arena_printf(req->arena, "%" PRId64 "|%s", page->number + 1, last);

	if (cursor != NULL)
		query_link_next(req, cursor);
}

enum handled
sessions_list(struct http_request *req)
{
	struct problem_fields *bad = problem_fields(req);
	struct db_rows *rows = NULL;
	struct page page;
	enum err err;

	read_page(req, bad, &page);
	if (problem_fields_any(bad))
		return problem_fields_reply(bad);
	err = query_page(req, &page, &rows);
	if (err == OK) {
		if (!rows_is_null(rows, 0, 1))
			link_next(req, &page, rows_text(rows, 0, 1));
		(void)response_json_text(req, 200, rows_text(rows, 0, 0),
		    rows_len(rows, 0, 0));
	} else {
		(void)refuse(req, err);
	}
	rows_free(rows);
	return ANSWERED;
}

/* A statement on the session of the path. */
static enum err
query_session(struct http_request *req, enum db_stmt stmt,
    struct db_rows **rows)
{
	const char *args[3] = { req->who.user_text };
	struct uuid id;
	enum err err = request_param_uuid(req, "id", &id, &args[1]);

	if (err != OK)
		return err;
	args[2] = number(req, playground_patience_ms(req->app->config));
	if (args[2] == NULL)
		return ERR_MEMORY;
	err = db_query(req->db, stmt, args, rows);
	if (err == OK && rows_count(*rows) == 0)
		err = ERR_MISSING;
	return err;
}

enum handled
sessions_get(struct http_request *req)
{
	struct db_rows *rows = NULL;
	enum err err = query_session(req, DB_PLAYGROUND_GET, &rows);

	if (err == OK)
		(void)response_json_text(req, 200, rows_text(rows, 0, 0),
		    rows_len(rows, 0, 0));
	else
		(void)refuse(req, err);
	rows_free(rows);
	return ANSWERED;
}

enum handled
sessions_delete(struct http_request *req)
{
	struct db_rows *rows = NULL;
	enum err err = query_session(req, DB_PLAYGROUND_DELETE, &rows);

	rows_free(rows);
	return err == OK ? response_empty(req, 204) : refuse(req, err);
}
