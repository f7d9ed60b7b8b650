/*
 * logs.c - the event logs and LLM logs of a user: lists, exports, one of them.
 */
#include "api/logs.h"

#include "api/ingest.h"
#include "api/logrows.h"
#include "base/uuid.h"
#include "db/db.h"
#include "http/problem.h"
#include "http/query.h"
#include "http/response.h"

#define PAGE_MAX 200
#define TEXT_MAX 256 /* characters of q */

/* The parameters of both lists after the place where they go on. */
enum filter {
	FILTER_WORD = 4, /* level of events, source of LLM logs */
	FILTER_USER,
	FILTER_SINCE,
	FILTER_UNTIL,
	FILTER_TEXT,
	FILTER_IDS,
	FILTER_END
};

static const char *const levels[] = { "info", "warning", "error", "debug",
	NULL };

/* In the order of enum logrows_format. */
static const char *const formats[] = { "json", "csv", "ndjson", NULL };

static const struct logrows_column event_columns[] = {
	{ "id", false },
	{ "user_id", false },
	{ "message", false },
	{ "level", false },
	{ "timestamp", false },
	{ "metadata", true },
};

static const struct logrows_column llm_columns[] = {
	{ "id", false },
	{ "user_id", false },
	{ "source", false },
	{ "query", false },
	{ "response", false },
	{ "timestamp", false },
	{ "metadata", true },
};

static const struct logrows_shape event_shape = { "event-logs.csv",
	DB_LOGGER_EVENTS, DB_SEARCH_FIND_EVENTS, FILTER_IDS, event_columns,
	sizeof(event_columns) / sizeof(event_columns[0]) };

static const struct logrows_shape llm_shape = { "llm-logs.csv",
	DB_LOGGER_LLM_LOGS, DB_SEARCH_FIND_INGESTED, FILTER_IDS, llm_columns,
	sizeof(llm_columns) / sizeof(llm_columns[0]) };

/* --- lists ------------------------------------------------------------ */

static void
read_text_filter(struct http_request *req, struct problem_fields *bad,
    struct logrows *rows)
{
	const char **out = &rows->args[FILTER_TEXT];
	const char *q = NULL;

	query_string(req, bad, "q", TEXT_MAX, &q);
	if (q == NULL || *q == '\0')
		return;
	rows->q = q;
	*out = query_like(req, q);
	if (*out == NULL)
		problem_field(bad, "q", "cannot be looked for now");
}

static void
read_place(struct http_request *req, struct problem_fields *bad,
    struct logrows *rows)
{
	const char *cursor = NULL;

	query_cursor(req, bad, &cursor);
	if (cursor != NULL && logrows_after(rows, cursor) != OK)
		problem_field(bad, "cursor", "must be a cursor of this list");
}

static void
refuse_filter(struct http_request *req, struct problem_fields *bad,
    const char *name)
{
	if (request_query(req, name) != NULL)
		problem_field(bad, name, "is not a filter of this list");
}

static void
read_filters(struct http_request *req, struct problem_fields *bad,
    struct logrows *rows)
{
	const char **args = rows->args;

	if (rows->shape == &event_shape) {
		query_word(req, bad, "level", levels, &args[FILTER_WORD]);
		refuse_filter(req, bad, "source");
	} else {
		query_string(req, bad, "source", INGEST_SOURCE_MAX,
		    &args[FILTER_WORD]);
		refuse_filter(req, bad, "level");
	}
	query_string(req, bad, "user_id", INGEST_USER_MAX, &args[FILTER_USER]);
	query_time(req, bad, "since", &args[FILTER_SINCE]);
	query_time(req, bad, "until", &args[FILTER_UNTIL]);
	read_text_filter(req, bad, rows);
}

static enum logrows_format
read_format(struct http_request *req, struct problem_fields *bad)
{
	const char *format = formats[LOGROWS_JSON];

	query_word(req, bad, "format", formats, &format);
	if (format == formats[LOGROWS_CSV])
		return LOGROWS_CSV;
	return format == formats[LOGROWS_NDJSON] ? LOGROWS_NDJSON
						 : LOGROWS_JSON;
}

static enum handled
list(struct http_request *req, const struct logrows_shape *shape)
{
	struct problem_fields *bad = problem_fields(req);
	int64_t limit = 0;
	struct logrows rows;

	_Static_assert((int)FILTER_END <= LOGROWS_ARGS_MAX, "all have a place");
	logrows_init(&rows, req, shape, read_format(req, bad));
	read_place(req, bad, &rows);
	query_int(req, bad, "limit", 1, PAGE_MAX, &limit);
	read_filters(req, bad, &rows);
	if (problem_fields_any(bad))
		return problem_fields_reply(bad);
	if (limit == 0 && rows.format != LOGROWS_JSON)
		return logrows_export(&rows);
	return logrows_page(&rows, limit == 0 ? LOGS_NEWEST : limit);
}

enum handled
logs_events_list(struct http_request *req)
{
	return list(req, &event_shape);
}

enum handled
logs_llm_list(struct http_request *req)
{
	return list(req, &llm_shape);
}

/* --- one -------------------------------------------------------------- */

/* The row of stmt for the id of the path, which is the caller's. */
static enum err
find(struct http_request *req, enum db_stmt stmt, struct db_rows **rows)
{
	const char *args[2] = { req->who.user_text, NULL };
	struct uuid id;
	enum err err;

	err = request_param_uuid(req, "id", &id, &args[1]);
	if (err == OK)
		err = db_query(req->db, stmt, args, rows);
	if (err == OK && rows_count(*rows) == 0)
		return ERR_MISSING;
	if (err != OK && err != ERR_MISSING)
		return request_fail(req, err, "logs: %s",
		    db_fault(req->db)->sqlstate);
	return err;
}

static enum handled
get(struct http_request *req, enum db_stmt stmt)
{
	struct db_rows *rows = NULL;
	enum handled handled;
	enum err err;

	err = find(req, stmt, &rows);
	if (err == OK)
		handled = response_json_text(req, 200, rows_text(rows, 0, 0),
		    rows_len(rows, 0, 0));
	else
		handled = problem_of(req, err);
	rows_free(rows);
	return handled;
}

static enum handled
delete_one(struct http_request *req, enum db_stmt stmt)
{
	struct db_rows *rows = NULL;
	enum err err = find(req, stmt, &rows);

	rows_free(rows);
	return err == OK ? response_empty(req, 204) : problem_of(req, err);
}

enum handled
logs_event_get(struct http_request *req)
{
	return get(req, DB_LOGGER_EVENT);
}

enum handled
logs_event_delete(struct http_request *req)
{
	return delete_one(req, DB_LOGGER_EVENT_DELETE);
}

enum handled
logs_llm_get(struct http_request *req)
{
	return get(req, DB_LOGGER_LLM_LOG);
}

enum handled
logs_llm_delete(struct http_request *req)
{
	return delete_one(req, DB_LOGGER_LLM_LOG_DELETE);
}
