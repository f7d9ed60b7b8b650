/*
 * calls.c - GET /v1/calls and /v1/calls/:id: the caller's own records.
 */
#include "api/calls.h"

#include <string.h>

#include "api/search.h"
#include "base/uuid.h"
#include "db/db.h"
#include "http/csv.h"
#include "http/problem.h"
#include "http/query.h"
#include "http/response.h"
#include "json/write.h"

#define PAGE_DEFAULT 20
#define PAGE_MAX     200
#define Q_MAX        256
#define MODEL_MAX    200

static const char csv_header[] =
    "id,kind,provider,model,status,stream,prompt_tokens,completion_tokens,"
    "cached_tokens,reasoning_tokens,estimated,cost,latency_ms,"
    "time_to_first_token_ms,started_at,finished_at,error,user,environment,"
    "source,request_id,metadata\r\n";
#define CSV_COLUMNS 22

static const char *const statuses[] = { "running", "completed", "failed",
	"cancelled", "interrupted", NULL };

static const char *const formats[] = { "json", "csv", "ndjson", NULL };

struct filters {
	int64_t limit;
	const char *cursor, *model, *status, *since, *until, *q;
	const char *format;
};

static void
read_cursor(struct http_request *req, struct problem_fields *bad,
    struct filters *filters)
{
	struct uuid id;

	query_cursor(req, bad, &filters->cursor);
	if (filters->cursor != NULL && uuid_parse(filters->cursor, &id) != OK)
		problem_field(bad, "cursor", "must be a cursor of this list");
}

static void
read_filters(struct http_request *req, struct problem_fields *bad,
    struct filters *filters)
{
	*filters =
	    (struct filters){ .limit = PAGE_DEFAULT, .format = formats[0] };
	query_int(req, bad, "limit", 1, PAGE_MAX, &filters->limit);
	read_cursor(req, bad, filters);
	query_string(req, bad, "model", MODEL_MAX, &filters->model);
	query_word(req, bad, "status", statuses, &filters->status);
	query_time(req, bad, "since", &filters->since);
	query_time(req, bad, "until", &filters->until);
	query_string(req, bad, "q", Q_MAX, &filters->q);
	query_word(req, bad, "format", formats, &filters->format);
}

static bool
wants(const struct filters *filters, const char *format)
{
	return strcmp(filters->format, format) == 0;
}

/* One more than asked for: whether there is a next page. */
static enum err
query_calls(struct http_request *req, const struct filters *filters,
    struct db_rows **rows)
{
	const char *args[9];
	const char *q = NULL;
	enum err err = OK;

	if (filters->q != NULL && *filters->q != '\0') {
		q = query_like(req, filters->q);
		if (q == NULL)
			return ERR_MEMORY;
	}
	args[0] = req->who.user_text;
	args[1] =
	    arena_printf(req->arena, "%lld", (long long)filters->limit + 1);
	args[2] = filters->cursor;
	args[3] = filters->model;
	args[4] = filters->status;
	args[5] = filters->since;
	args[6] = filters->until;
	args[7] = q;
	args[8] = NULL;
	if (args[1] == NULL)
		return ERR_MEMORY;
	if (q != NULL)
		err =
		    search_ids(req, DB_SEARCH_FIND_CALLS, filters->q, args, 8);
	if (err != OK)
		return err;
	return db_query(req->db,
	    wants(filters, "csv") ? DB_CALLS_ROWS : DB_CALLS_LIST, args, rows);
}

/* The objects as they come from PostgreSQL; metadata keeps the line ends that
 * its client sent, which outside of strings are white space. */
static void
write_lines(struct http_request *req, const struct db_rows *rows, size_t count)
{
	(void)response_type(req, 200, "application/x-ndjson");
	for (size_t row = 0; row < count; row++) {
		size_t from = req->out.len;

		buf_add(&req->out, rows_text(rows, row, 1),
		    rows_len(rows, row, 1));
		for (size_t i = from; i < req->out.len; i++)
			if (req->out.data[i] == '\n' ||
			    req->out.data[i] == '\r')
				req->out.data[i] = ' ';
		buf_addc(&req->out, '\n');
	}
}

static void
write_csv(struct http_request *req, const struct db_rows *rows, size_t count)
{
	(void)response_type(req, 200, "text/csv; charset=utf-8");
	response_header(req, "Content-Disposition",
	    "attachment; filename=\"calls.csv\"");
	buf_adds(&req->out, csv_header);
	for (size_t row = 0; row < count; row++) {
		for (size_t col = 0; col < CSV_COLUMNS; col++) {
			if (col > 0)
				buf_addc(&req->out, ',');
			csv_cell(&req->out, rows_text(rows, row, col));
		}
		buf_adds(&req->out, "\r\n");
	}
}

static void
write_list(struct http_request *req, const struct db_rows *rows, size_t count,
    const char *next)
{
	struct jsonw w;

	(void)response_json(req, 200);
	jsonw_init(&w, &req->out);
	jsonw_object(&w);
	jsonw_kv(&w, "object", "list");
	jsonw_key(&w, "data");
	jsonw_array(&w);
	for (size_t row = 0; row < count; row++)
		jsonw_raw(&w, rows_text(rows, row, 1), rows_len(rows, row, 1));
	jsonw_end_array(&w);
	jsonw_kv_bool(&w, "has_more", next != NULL);
	jsonw_kv(&w, "next_cursor", next);
	jsonw_end_object(&w);
}

static enum handled
write_page(struct http_request *req, const struct filters *filters,
    const struct db_rows *rows)
{
	size_t count = rows_count(rows);
	const char *next = NULL;

	if (count > (size_t)filters->limit) {
		count = (size_t)filters->limit;
		next = rows_text(rows, count - 1, 0);
		query_link_next(req, next);
		next = query_cursor_make(req, next);
		if (next == NULL)
			return problem_of(req, ERR_MEMORY);
	}
	if (wants(filters, "csv"))
		write_csv(req, rows, count);
	else if (wants(filters, "ndjson"))
		write_lines(req, rows, count);
	else
		write_list(req, rows, count, next);
	return ANSWERED;
}

static enum handled
refuse(struct http_request *req, enum err err)
{
	if (err != ERR_MISSING)
		(void)request_fail(req, err, "calls: %s",
		    db_fault(req->db)->sqlstate);
	return problem_of(req, err);
}

enum handled
calls_list(struct http_request *req)
{
	struct problem_fields *bad = problem_fields(req);
	struct db_rows *rows = NULL;
	struct filters filters;
	enum handled handled;
	enum err err;

	read_filters(req, bad, &filters);
	if (problem_fields_any(bad))
		return problem_fields_reply(bad);
	err = query_calls(req, &filters, &rows);
	handled =
	    err == OK ? write_page(req, &filters, rows) : refuse(req, err);
	rows_free(rows);
	return handled;
}

enum handled
calls_get(struct http_request *req)
{
	struct db_rows *rows = NULL;
	const char *args[2] = { req->who.user_text, NULL };
	struct uuid id;
	enum err err;

	err = request_param_uuid(req, "id", &id, &args[1]);
	if (err == OK)
		err = db_query(req->db, DB_CALLS_GET, args, &rows);
	if (err == OK && rows_count(rows) == 0)
		err = ERR_MISSING;
	if (err == OK)
		(void)response_json_text(req, 200, rows_text(rows, 0, 0),
		    rows_len(rows, 0, 0));
	else
		(void)refuse(req, err);
	rows_free(rows);
	return ANSWERED;
}
