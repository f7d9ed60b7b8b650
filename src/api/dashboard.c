/*
 * dashboard.c - GET /proxy-api/dashboard and /proxy-api/metric: calls as the
 * prompt log's records.
 */
#include <string.h>
#include <strings.h>

#include "api/app.h"
#include "api/promptlog.h"
#include "base/clock.h"
#include "db/db.h"
#include "http/problem.h"
#include "http/query.h"
#include "http/response.h"
#include "json/write.h"

#define PAGE_MAX   200
#define PAGE_BYTES ((size_t)16 * 1024 * 1024) /* a page ends after these */
#define MINUTE_US  (60 * INT64_C(1000000))
#define HOUR_US    (60 * MINUTE_US)
#define DAY_US     (24 * HOUR_US)

static const struct {
	const char *word;
	int64_t us;
} periods[] = {
	{ "last5minutes", 5 * MINUTE_US },
	{ "last30minutes", 30 * MINUTE_US },
	{ "last1hours", HOUR_US },
	{ "last6hours", 6 * HOUR_US },
	{ "last1days", DAY_US },
	{ "last7days", 7 * DAY_US },
	{ "last30days", 30 * DAY_US },
};
#define PERIODS (sizeof(periods) / sizeof(periods[0]))

static const char *const statuses[] = { "successful", "failed", NULL };
static const char *const environments[] = { "production", "development",
	"testing", NULL };

enum filter {
	FILTER_MODEL,
	FILTER_STATUS,
	FILTER_USER,
	FILTER_ENVIRONMENT,
	FILTER_COUNT
};

/* words NULL: any text. */
static const struct {
	const char *name;
	const char *const *words;
	const char *expected;
} filters[FILTER_COUNT] = {
	[FILTER_MODEL] = { "filters[Model]", NULL, NULL },
	[FILTER_STATUS] = { "filters[Status]", statuses,
	    "must be successful or failed" },
	[FILTER_USER] = { "filters[User]", NULL, NULL },
	[FILTER_ENVIRONMENT] = { "filters[Environment]", environments,
	    "must be production, development or testing" },
};

struct view {
	const char *since; /* NULL: from the beginning */
	const char *filters[FILTER_COUNT];
	const char *cursor;
	int64_t limit;
};

/* --- what is asked for ------------------------------------------------ */

static void
read_period(struct http_request *req, struct problem_fields *bad,
    struct view *view)
{
	const char *text = request_query(req, "timePeriod");
	char since[CLOCK_TEXT_SIZE];

	if (text == NULL || *text == '\0')
		return;
	for (size_t i = 0; i < PERIODS; i++) {
		if (strcmp(text, periods[i].word) != 0)
			continue;
		clock_text(clock_wall_us() - periods[i].us, since);
		view->since = arena_strdup(req->arena, since);
		if (view->since != NULL)
			return;
	}
	problem_field(bad, "timePeriod",
	    "must be last5minutes, last30minutes, last1hours, last6hours, "
	    "last1days, last7days or last30days");
}

static void
read_value(struct problem_fields *bad, struct view *view, size_t filter,
    const char *value)
{
	const char *const *words = filters[filter].words;

	if (*value == '\0')
		return;
	if (view->filters[filter] != NULL) {
		problem_field(bad, filters[filter].name, "can be sent once");
		return;
	}
	if (words == NULL) {
		view->filters[filter] = value;
		return;
	}
	for (; *words != NULL; words++) {
		if (strcasecmp(value, *words) == 0) {
			view->filters[filter] = *words;
			return;
		}
	}
	problem_field(bad, filters[filter].name, "%s",
	    filters[filter].expected);
}

static bool
is_filter(const char *name)
{
	return strncasecmp(name, "filters", 7) == 0 &&
	       (name[7] == '[' || name[7] == '\0');
}

static void
read_filter(struct problem_fields *bad, struct view *view,
    const struct http_param *pair)
{
	for (size_t i = 0; i < FILTER_COUNT; i++) {
		if (strcasecmp(pair->name, filters[i].name) == 0) {
			read_value(bad, view, i, pair->value);
			return;
		}
	}
	problem_field(bad, pair->name,
	    "is not a filter: these are filters[Model], filters[Status], "
	    "filters[User] and filters[Environment]");
}

/* The name of the model as it is logged, which indexes and counts are by. */
static void
spell_model(struct http_request *req, struct view *view)
{
	const char **model = &view->filters[FILTER_MODEL];
	const char *name, *found = NULL;
	struct snapshot *snapshot;

	if (*model == NULL ||
	    catalog_snapshot(req->app->catalog, req->db, &snapshot) != OK)
		return;
	for (size_t i = 0; i < snapshot_count(snapshot); i++) {
		name = snapshot_at(snapshot, i)->model;
		if (strcasecmp(name, *model) != 0)
			continue;
		if (found == NULL || strcmp(name, *model) == 0)
			found = arena_strdup(req->arena, name);
	}
	if (found != NULL)
		*model = found;
	snapshot_release(snapshot);
}

static bool
read_or_reply(struct http_request *req, struct view *view)
{
	struct problem_fields *bad = problem_fields(req);
	struct uuid id;

	*view = (struct view){ .limit = 0 };
	read_period(req, bad, view);
	for (size_t i = 0; i < req->query_count; i++) {
		if (is_filter(req->query[i].name))
			read_filter(bad, view, &req->query[i]);
	}
	query_int(req, bad, "limit", 1, PAGE_MAX, &view->limit);
	query_cursor(req, bad, &view->cursor);
	if (view->cursor != NULL && uuid_parse(view->cursor, &id) != OK)
		problem_field(bad, "cursor", "must be a cursor of this list");
	if (problem_fields_any(bad)) {
		(void)problem_fields_reply(bad);
		return false;
	}
	if (view->limit == 0)
		view->limit = req->app->config->rows_max;
	spell_model(req, view);
	return true;
}

/* --- records ---------------------------------------------------------- */

struct page {
	struct http_request *req;
	struct jsonw *w;
	int64_t limit;
	int64_t got;
	bool more;
	char last_id[UUID_TEXT_SIZE];
};

static enum err
take(void *arg, const struct db_rows *row)
{
	struct page *page = arg;
	const char *id = rows_text(row, 0, 0);

	if (page->got == page->limit) {
		page->more = true;
		return OK; /* the last of them: the connection is kept */
	}
	if (page->req->out.len > PAGE_BYTES) {
		page->more = true;
		return ERR_TOO_LARGE;
	}
	jsonw_raw(page->w, rows_text(row, 0, 1), rows_len(row, 0, 1));
	if (id != NULL && strlen(id) < sizeof(page->last_id))
		memcpy(page->last_id, id, strlen(id) + 1);
	page->got++;
	return OK;
}

/* {"data":[...]}, and Link when there are more. */
static enum err
write_records(struct http_request *req, const struct view *view,
    struct jsonw *w)
{
	struct page page = { .req = req, .w = w, .limit = view->limit };
	const char *args[8] = { req->who.user_text,
		arena_printf(req->arena, "%lld", (long long)view->limit + 1),
		view->cursor, view->since, view->filters[FILTER_MODEL],
		view->filters[FILTER_STATUS], view->filters[FILTER_USER],
		view->filters[FILTER_ENVIRONMENT] };
	enum err err;

	if (args[1] == NULL)
		return ERR_MEMORY;
	jsonw_object(w);
	jsonw_key(w, "data");
	jsonw_array(w);
	err = db_each(req->db, DB_PROMPTLOG_RECORDS, args, take, &page);
	if (err != OK && !page.more)
		return err;
	jsonw_end_array(w);
	jsonw_end_object(w);
	if (page.more)
		query_link_next(req, page.last_id);
	return OK;
}

/* --- sums ------------------------------------------------------------- */

/* The hourly counts do not know users. */
static enum err
query_sums(struct http_request *req, const struct view *view,
    struct db_rows **rows)
{
	const char *user = view->filters[FILTER_USER];
	const char *args[6] = { req->who.user_text, view->since,
		view->filters[FILTER_MODEL], view->filters[FILTER_STATUS],
		view->filters[FILTER_ENVIRONMENT], user };

	return db_query(req->db,
	    user == NULL ? DB_PROMPTLOG_TOTALS : DB_PROMPTLOG_SUMS, args, rows);
}

static enum err
write_sums(struct http_request *req, const struct view *view, struct jsonw *w)
{
	struct db_rows *rows = NULL;
	enum err err = query_sums(req, view, &rows);

	if (err == OK) {
		jsonw_kv_int(w, "Total_Input_Tokens", rows_int64(rows, 0, 0));
		jsonw_kv_int(w, "Total_Output_Tokens", rows_int64(rows, 0, 1));
	}
	rows_free(rows);
	return err;
}

static enum handled
conclude(struct http_request *req, enum err err)
{
	if (err == OK)
		return response_json(req, 200);
	(void)request_fail(req, err, "prompt log: %s",
	    db_fault(req->db)->sqlstate);
	return problem_of(req, err);
}

enum handled
promptlog_dashboard(struct http_request *req)
{
	struct view view;
	struct jsonw w;

	if (!read_or_reply(req, &view))
		return ANSWERED;
	jsonw_init(&w, &req->out);
	return conclude(req, write_records(req, &view, &w));
}

enum handled
promptlog_metric(struct http_request *req)
{
	struct view view;
	struct jsonw w;
	enum err err;

	if (!read_or_reply(req, &view))
		return ANSWERED;
	jsonw_init(&w, &req->out);
	jsonw_object(&w);
	err = write_sums(req, &view, &w);
	if (err == OK) {
		jsonw_key(&w, "data");
		err = write_records(req, &view, &w);
	}
	jsonw_end_object(&w);
	return conclude(req, err);
}
