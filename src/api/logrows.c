/*
 * logrows.c - lists of logs: rows into JSON, CSV or NDJSON, pages and exports.
 *
 * An export runs a statement for so many rows at a time and goes on after the
 * last one.  So no statement lasts as long as its client takes, and one that
 * was ended for that is simply followed by the next.
 */
#include "api/logrows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/search.h"
#include "http/csv.h"
#include "http/problem.h"
#include "http/query.h"
#include "http/response.h"

#define CHUNK         5000 /* rows of one statement of an export */
#define CHUNK_TEXT    "5000"
#define PIECE         ((size_t)32 * 1024) /* bytes that are sent at once */
#define PAGE_BYTES    ((size_t)16 * 1024 * 1024)  /* a page ends after these */
#define CURSOR_US_MAX INT64_C(253402300799999999) /* the end of 9999 */

static const char *const types[] = {
	[LOGROWS_JSON] = "application/json",
	[LOGROWS_CSV] = "text/csv",
	[LOGROWS_NDJSON] = "application/x-ndjson",
};

void
logrows_init(struct logrows *rows, struct http_request *req,
    const struct logrows_shape *shape, enum logrows_format format)
{
	*rows =
	    (struct logrows){ .req = req, .shape = shape, .format = format };
	rows->args[0] = req->who.user_text;
	jsonw_init(&rows->json, &req->out);
}

/* --- where it goes on ------------------------------------------------- */

static void
go_on_after(struct logrows *rows)
{
	clock_text(rows->last_us, rows->last_time);
	rows->args[2] = rows->last_time;
	rows->args[3] = rows->last_id;
}

/* "<microseconds>.<id>" */
enum err
logrows_after(struct logrows *rows, const char *cursor)
{
	struct uuid id;
	char *dot;

	if (cursor[0] < '0' || cursor[0] > '9')
		return ERR_INPUT;
	errno = 0;
	rows->last_us = strtoll(cursor, &dot, 10);
	if (errno != 0 || *dot != '.' || rows->last_us > CURSOR_US_MAX ||
	    uuid_parse(dot + 1, &id) != OK)
		return ERR_INPUT;
	uuid_text(&id, rows->last_id);
	go_on_after(rows);
	return OK;
}

static void
link_next(struct logrows *rows)
{
	const char *text = arena_printf(rows->req->arena, "%lld.%s",
	    (long long)rows->last_us, rows->last_id);

	if (text != NULL)
		query_link_next(rows->req, text);
}

static void
remember(struct logrows *rows, const struct db_rows *row)
{
	const char *id = rows_text(row, 0, 1);

	rows->last_us = rows_int64(row, 0, 0);
	if (id != NULL && strlen(id) < sizeof(rows->last_id))
		memcpy(rows->last_id, id, strlen(id) + 1);
}

/* --- one row ---------------------------------------------------------- */

static void
write_object(struct logrows *rows, const struct db_rows *row)
{
	struct jsonw *w = &rows->json;

	jsonw_object(w);
	for (size_t i = 0; i < rows->shape->column_count; i++) {
		const struct logrows_column *column = &rows->shape->columns[i];
		const char *text = rows_text(row, 0, i + 1);
		size_t len = rows_len(row, 0, i + 1);

		jsonw_key(w, column->name);
		if (text == NULL)
			jsonw_null(w);
		else if (column->json)
			jsonw_raw(w, text, len);
		else
			jsonw_string_len(w, text, len);
	}
	jsonw_end_object(w);
}

/* Metadata keeps the line ends that its client sent, which are white space
 * there: in strings they are escaped. */
static void
write_line(struct logrows *rows, const struct db_rows *row)
{
	struct buf *out = &rows->req->out;
	size_t from = out->len;

	rows->json.comma = false;
	write_object(rows, row);
	for (size_t i = from; i < out->len; i++) {
		if (out->data[i] == '\n' || out->data[i] == '\r')
			out->data[i] = ' ';
	}
	buf_addc(out, '\n');
}

static void
write_cells(struct logrows *rows, const struct db_rows *row)
{
	struct buf *out = &rows->req->out;

	for (size_t i = 0; i < rows->shape->column_count; i++) {
		if (i > 0)
			buf_addc(out, ',');
		csv_cell(out, rows_text(row, 0, i + 1));
	}
	buf_adds(out, "\r\n");
}

static void
write_row(struct logrows *rows, const struct db_rows *row)
{
	if (rows->format == LOGROWS_CSV)
		write_cells(rows, row);
	else if (rows->format == LOGROWS_NDJSON)
		write_line(rows, row);
	else
		write_object(rows, row);
	remember(rows, row);
}

/* --- what is around the rows ------------------------------------------ */

static void
write_names(struct logrows *rows)
{
	struct buf *out = &rows->req->out;

	for (size_t i = 0; i < rows->shape->column_count; i++)
		buf_addf(out, "%s%s", i == 0 ? "" : ",",
		    rows->shape->columns[i].name);
	buf_adds(out, "\r\n");
}

static void
begin(struct logrows *rows)
{
	struct http_request *req = rows->req;

	(void)response_type(req, 200, types[rows->format]);
	if (rows->format == LOGROWS_JSON)
		jsonw_array(&rows->json);
	if (rows->format != LOGROWS_CSV)
		return;
	response_headerf(req, "Content-Disposition",
	    "attachment; filename=\"%s\"", rows->shape->file);
	write_names(rows);
}

static enum handled
refuse(struct logrows *rows, enum err err)
{
	(void)request_fail(rows->req, err, "%s: %s", rows->shape->file,
	    db_fault(rows->req->db)->sqlstate);
	return problem_of(rows->req, err);
}

/* --- the statement ---------------------------------------------------- */

static enum err
run(struct logrows *rows,
    enum err (*take)(void *arg, const struct db_rows *row))
{
	const struct logrows_shape *shape = rows->shape;
	enum err err = OK;

	if (rows->q != NULL)
		err = search_ids(rows->req, shape->find, rows->q, rows->args,
		    shape->ids);
	if (err != OK)
		return err;
	return db_each(rows->req->db, shape->stmt, rows->args, take, rows);
}

/* --- a page ----------------------------------------------------------- */

static enum err
take_page(void *arg, const struct db_rows *row)
{
	struct logrows *rows = arg;

	if (rows->got == rows->limit) {
		rows->more = true;
		return OK; /* the last of them: the connection is kept */
	}
	if (rows->req->out.len > PAGE_BYTES) {
		rows->more = true;
		return ERR_TOO_LARGE;
	}
	write_row(rows, row);
	rows->got++;
	return OK;
}

/* One row more than asked for tells whether there is a next page. */
enum handled
logrows_page(struct logrows *rows, int64_t limit)
{
	struct http_request *req = rows->req;
	enum err err;

	rows->limit = limit;
	rows->args[1] = arena_printf(req->arena, "%lld", (long long)limit + 1);
	if (rows->args[1] == NULL)
		return problem_of(req, ERR_MEMORY);
	begin(rows);
	err = run(rows, take_page);
	if (err != OK && !rows->more)
		return refuse(rows, err);
	if (rows->format == LOGROWS_JSON)
		jsonw_end_array(&rows->json);
	if (rows->more)
		link_next(rows);
	return ANSWERED;
}

/* --- an export -------------------------------------------------------- */

static enum err
flush(struct logrows *rows)
{
	struct http_request *req = rows->req;
	enum err err = OK;

	if (!buf_ok(&req->out))
		return ERR_MEMORY;
	if (!req->streaming)
		err = stream_begin(req, 200, types[rows->format]);
	if (err == OK && req->out.len > 0)
		err = stream_write(req, req->out.data, req->out.len);
	buf_reset(&req->out);
	return err;
}

static enum err
take_export(void *arg, const struct db_rows *row)
{
	struct logrows *rows = arg;

	write_row(rows, row);
	rows->got++;
	return rows->req->out.len < PIECE ? OK : flush(rows);
}

/* A statement that was ended after some rows only took too long to be read. */
static bool
goes_on(const struct logrows *rows, enum err err)
{
	if (err == OK)
		return rows->got == CHUNK;
	return (err == ERR_TIMEOUT || err == ERR_BUSY) && rows->got > 0;
}

static enum err
export_rows(struct logrows *rows)
{
	enum err err;

	rows->args[1] = CHUNK_TEXT;
	do {
		rows->got = 0;
		err = run(rows, take_export);
		go_on_after(rows);
	} while (goes_on(rows, err));
	return err;
}

/* nginx ends a stream that broke off as if it were whole. */
static void
break_off(struct logrows *rows)
{
	static const char line[] =
	    "{\"error\":{\"code\":\"export_incomplete\",\"message\":"
	    "\"This export broke off.\"}}\n";
	static const char cell[] = "ERROR: this export broke off\r\n";

	buf_adds(&rows->req->out, rows->format == LOGROWS_CSV ? cell : line);
	(void)flush(rows); /* nothing more can be done */
}

enum handled
logrows_export(struct logrows *rows)
{
	struct http_request *req = rows->req;
	enum err err = OK;

	begin(rows);
	if (!req->head)
		err = export_rows(rows);
	if (err == OK)
		err = flush(rows);
	if (err == OK || err == ERR_GONE)
		return ANSWERED;
	if (!req->streaming)
		return refuse(rows, err);
	(void)request_fail(req, err, "export: %s", db_fault(req->db)->sqlstate);
	break_off(rows);
	return ANSWERED;
}
