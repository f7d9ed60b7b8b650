/*
 * service.c - /, /health and /metrics.
 */
#include "api/service.h"

#include <string.h>

#include "api/app.h"
#include "api/scoreboard.h"
#include "base/clock.h"
#include "db/db.h"
#include "http/accept.h"
#include "http/response.h"
#include "json/write.h"

#ifndef MINUTED_VERSION
#define MINUTED_VERSION "0.1.0"
#endif

#define DOCS_PATH "/api-docs"

const char *
service_version(void)
{
	return MINUTED_VERSION;
}

enum handled
service_root(struct http_request *req)
{
	static const char *const types[] = { "text/plain", "application/json",
		NULL };
	struct jsonw w;

	if (accept_best(req, types) == 0) {
		(void)response_type(req, 200, "text/plain; charset=utf-8");
		buf_adds(&req->out,
		    "minuted " MINUTED_VERSION
		    ": answers for language models and keeps the minutes.\n"
		    "Documentation: " DOCS_PATH "\n");
		return ANSWERED;
	}
	(void)response_json(req, 200);
	jsonw_init(&w, &req->out);
	jsonw_object(&w);
	jsonw_kv(&w, "message", "minuted " MINUTED_VERSION);
	jsonw_kv(&w, "docs", DOCS_PATH);
	jsonw_end_object(&w);
	return ANSWERED;
}

static void
database_object(struct jsonw *w, bool up)
{
	jsonw_object(w);
	jsonw_key(w, "database");
	jsonw_object(w);
	jsonw_kv(w, "status", up ? "up" : "down");
	if (!up)
		jsonw_kv(w, "message", "PostgreSQL cannot be reached");
	jsonw_end_object(w);
	jsonw_end_object(w);
}

static void
nothing(struct jsonw *w)
{
	jsonw_object(w);
	jsonw_end_object(w);
}

/* Everything that /health knows, whether up or down. */
static void
details_object(struct jsonw *w, const struct journal_stats *journal, bool up)
{
	jsonw_object(w);
	jsonw_key(w, "database");
	jsonw_object(w);
	jsonw_kv(w, "status", up ? "up" : "down");
	jsonw_end_object(w);
	jsonw_key(w, "journal");
	jsonw_object(w);
	jsonw_kv(w, "status", journal->database_up ? "up" : "spooling");
	jsonw_kv_int(w, "queued", (int64_t)journal->queued);
	jsonw_kv_int(w, "spool_bytes", (int64_t)journal->spool_bytes);
	jsonw_kv_int(w, "passed_over", (int64_t)journal->passed_over);
	jsonw_kv_int(w, "dead_letters", (int64_t)journal->dead_letters);
	jsonw_end_object(w);
	jsonw_key(w, "spool");
	jsonw_object(w);
	jsonw_kv(w, "status", journal->spool_up ? "up" : "down");
	jsonw_end_object(w);
	jsonw_end_object(w);
}

/* Slow is not down. */
static bool
is_up(struct db *db)
{
	return db_query(db, DB_SERVICE_PING, NULL, NULL) == OK ||
	       strcmp(db_fault(db)->sqlstate, DB_CROWDED) == 0;
}

enum handled
service_health(struct http_request *req)
{
	const struct app *app = req->app;
	bool up = is_up(req->db);
	int64_t uptime_us = clock_mono_us() - app->started_us;
	char now[CLOCK_TEXT_SIZE];
	struct journal_stats journal;
	struct jsonw w;

	journal_stats(app->journal, &journal);
	clock_text(clock_wall_us(), now);
	(void)response_json(req, up ? 200 : 503);
	jsonw_init(&w, &req->out);
	jsonw_object(&w);
	jsonw_kv(&w, "status", up ? "ok" : "error");
	jsonw_key(&w, "info");
	if (up)
		database_object(&w, true);
	else
		nothing(&w);
	jsonw_key(&w, "error");
	if (up)
		nothing(&w);
	else
		database_object(&w, false);
	jsonw_key(&w, "details");
	details_object(&w, &journal, up);
	jsonw_key(&w, "uptime");
	jsonw_double(&w, (double)uptime_us / 1e6);
	jsonw_kv(&w, "timestamp", now);
	jsonw_kv(&w, "version", MINUTED_VERSION);
	jsonw_end_object(&w);
	return ANSWERED;
}

/* clang-format off */
static const struct {
	enum board_count count;
	const char *name, *kind, *help;
} metrics[] = {
	{ COUNT_REQUESTS,        "minuted_requests_total",          "counter", "Requests answered." },
	{ COUNT_CALLS_STARTED,   "minuted_calls_started_total",     "counter", "Model calls started." },
	{ COUNT_CALLS_COMPLETED, "minuted_calls_completed_total",   "counter", "Model calls that ended well." },
	{ COUNT_CALLS_FAILED,    "minuted_calls_failed_total",      "counter", "Model calls that failed." },
	{ COUNT_CALLS_CANCELLED, "minuted_calls_cancelled_total",   "counter", "Model calls whose client left." },
	{ COUNT_CALLS_OPEN,      "minuted_calls_open",              "gauge",   "Model calls running now." },
	{ COUNT_CONNECTIONS,     "minuted_connections_open",        "gauge",   "Connections from nginx." },
	{ COUNT_RECORDS,         "minuted_journal_records_total",   "counter", "Records committed." },
	{ COUNT_BATCHES,         "minuted_journal_batches_total",   "counter", "Commits." },
	{ COUNT_QUEUED,          "minuted_journal_queued",          "gauge",   "Records waiting for their commit." },
	{ COUNT_REFUSED,         "minuted_journal_refused_total",   "counter", "Records refused for want of a place." },
	{ COUNT_SPOOLED,         "minuted_spool_records_total",     "counter", "Records written to the spool." },
	{ COUNT_REPLAYED,        "minuted_spool_replayed_total",    "counter", "Records of the spool that PostgreSQL has." },
	{ COUNT_SPOOL_BYTES,     "minuted_spool_bytes",             "gauge",   "Size of the spool." },
	{ COUNT_DEAD_LETTERS,    "minuted_dead_letters_total",      "counter", "Records that PostgreSQL refused." },
};
/* clang-format on */

static void
metric(struct buf *out, const char *name, const char *kind, const char *help,
    unsigned long long value)
{
	buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n%s %llu\n", name, help, name,
	    kind, name, value);
}

enum handled
service_metrics(struct http_request *req)
{
	const struct scoreboard *board = req->app->scoreboard;
	struct buf *out = &req->out;

	(void)response_type(req, 200,
	    "text/plain; version=0.0.4; charset=utf-8");
	for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
		metric(out, metrics[i].name, metrics[i].kind, metrics[i].help,
		    scoreboard_count(board, metrics[i].count));
	metric(out, "minuted_workers_ready", "gauge", "Workers that serve.",
	    (unsigned long long)scoreboard_ready(board));
	metric(out, "minuted_workers_database_up", "gauge",
	    "Workers whose journal reaches PostgreSQL.",
	    (unsigned long long)scoreboard_database_up(board));
	metric(out, "minuted_worker_deaths_total", "counter",
	    "Workers that died.", atomic_load(&board->restarts));
	return ANSWERED;
}
