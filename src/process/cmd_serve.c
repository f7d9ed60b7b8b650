/*
 * cmd_serve.c - `minuted serve`, and the program run as a CGI program.
 */
#include "process/commands.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "api/dispatch.h"
#include "api/routes.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "db/migrate.h"
#include "http/cgi.h"
#include "process/appstart.h"
#include "process/settings.h"
#include "process/supervisor.h"

#define TEXT_MAX  ((size_t)256 * 1024)
#define CGI_CALLS 16 /* at once; a playground request makes up to 8 */

/* A database that can be reached and does not fit ends us at once; one that
 * is away does not: the workers look again. */
static enum err
check_schema(const struct config *config)
{
	enum migrate_state state = MIGRATE_CURRENT;
	struct db *db =
	    db_new(&(struct db_options){ .url = config->database_url,
		.application = "minuted check",
		.statement_ms = config->statement_ms,
		.lock_ms = config->lock_ms });
	enum err err;

	if (db == NULL)
		return ERR_MEMORY;
	err = migrate_check(db, &state);
	db_free(db);
	if (err != OK) {
		log_warn("PostgreSQL cannot be reached yet: answering 503 "
			 "until it can");
		return OK;
	}
	if (state == MIGRATE_CURRENT)
		return OK;
	log_error("%s", migrate_state_text(state));
	return ERR_CONFLICT;
}

int
cmd_serve(const struct config *config, int argc, char **argv)
{
	struct config *own = NULL;
	struct buf problems;
	enum err err;

	(void)argv;
	if (argc > 1) {
		(void)fprintf(stderr, "minuted serve takes no arguments\n");
		return 2;
	}
	if (check_schema(config) != OK)
		return 1;
	/* the supervisor replaces its settings at SIGHUP: it has its own */
	buf_init(&problems, TEXT_MAX);
	err = settings_load(config->path, &problems, &own);
	buf_fini(&problems);
	return err == OK ? supervisor_run(own) : 1;
}

int
cmd_routes(const struct config *config, int argc, char **argv)
{
	struct buf text;
	bool json = argc == 2 && strcmp(argv[1], "--json") == 0;

	(void)config;
	if (argc > 1 && !json) {
		(void)fprintf(stderr, "usage: minuted routes [--json]\n");
		return 2;
	}
	buf_init(&text, TEXT_MAX);
	routes_print(&text, json);
	(void)fputs(buf_str(&text), stdout);
	buf_fini(&text);
	return 0;
}

int
cmd_settings(const struct config *config, int argc, char **argv)
{
	struct buf text;

	(void)config;
	(void)argc;
	(void)argv;
	buf_init(&text, TEXT_MAX);
	config_table_json(&text);
	(void)fputs(buf_str(&text), stdout);
	buf_fini(&text);
	return 0;
}

struct finished {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool yes;
};

static void
on_finish(struct http_request *req, void *arg)
{
	struct finished *finished = arg;

	(void)req;
	pthread_mutex_lock(&finished->lock);
	finished->yes = true;
	pthread_cond_signal(&finished->changed);
	pthread_mutex_unlock(&finished->lock);
}

static void
answer(struct http_request *req, struct app *app, struct db *db)
{
	struct finished finished = { .lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER };

	req->app = app;
	req->db = db;
	req->on_finish = on_finish;
	req->on_finish_arg = &finished;
	if (dispatch(req) == ANSWERED) {
		request_finish(req);
		return;
	}
	pthread_mutex_lock(&finished.lock);
	while (!finished.yes)
		pthread_cond_wait(&finished.changed, &finished.lock);
	pthread_mutex_unlock(&finished.lock);
}

static int
answer_one(struct config *config, const char *const *envp)
{
	struct scoreboard *board;
	struct http_request *req = NULL;
	struct app app;
	struct db *db = NULL;
	int code = 1;

	/* one request does not outlive PostgreSQL's absence, and the spool of
	 * SPOOL_DIR may be in use by workers: this process has none */
	config->spool_dir[0] = '\0';
	board = scoreboard_map(NULL, CGI_CALLS);
	if (board == NULL || app_start(config, board, 0, &app) != OK)
		goto out;
	db = db_new(&(struct db_options){ .url = config->database_url,
	    .application = "minuted cgi",
	    .statement_ms = config->statement_ms,
	    .lock_ms = config->lock_ms });
	if (db != NULL &&
	    cgi_read(envp, dispatch_body_max(config), &req) == OK) {
		answer(req, &app, db);
		code = 0;
	}
	app_stop(&app, clock_mono_us() + config->drain_ms * 1000);
	db_free(db);
out:
	scoreboard_unmap(board);
	return code;
}

int
cgi_main(char **envp)
{
	struct config *config = NULL;
	struct buf problems;
	int code = 1;

	log_setup(LOG_WARN, "cgi");
	buf_init(&problems, TEXT_MAX);
	if (settings_load(NULL, &problems, &config) == OK)
		code = answer_one(config, (const char *const *)envp);
	else
		log_error("%s", buf_str(&problems));
	if (code != 0)
		(void)fputs("Status: 500 Internal Server Error\r\n\r\n",
		    stdout);
	buf_fini(&problems);
	config_free(config);
	return code;
}
