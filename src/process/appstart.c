/*
 * appstart.c - starts and stops the parts of a worker, in the order of the
 * text.
 */
#include "process/appstart.h"

#include <string.h>

#include "api/after.h"
#include "api/dispatch.h"
#include "api/later.h"
#include "api/pool.h"
#include "api/rules.h"
#include "api/ticket.h"
#include "base/log.h"

#define HASH_THREADS   1  /* a worker; 19 MiB and a core each while it works */
#define HASH_QUEUE     64 /* about 3 s of work: more is answered 503 */
#define EXPORT_THREADS 2
#define EXPORT_QUEUE   16

static void
notified(void *arg, struct db *db, const char *channel, const char *payload)
{
	struct app *app = arg;

	/* all of it is read again, whatever was told */
	if (channel == NULL)
		rules_catch_up(app->rules, db);
	else if (strcmp(channel, "minuted_catalog") == 0)
		catalog_changed(app->catalog);
	else if (strcmp(channel, "minuted_limit") == 0 && payload == NULL)
		rules_missed(app->rules);
	else if (strcmp(channel, "minuted_limit") == 0)
		rules_changed(app->rules);
}

static enum err
start_pools(struct app *app)
{
	const struct pool_options hash = { .config = app->config,
		.name = "password",
		.threads = HASH_THREADS,
		.queue_max = HASH_QUEUE,
		.run = dispatch_handler };
	const struct pool_options exports = { .config = app->config,
		.name = "export",
		.threads = EXPORT_THREADS,
		.queue_max = EXPORT_QUEUE,
		.run = dispatch_handler };
	enum err err = pool_start(&hash, &app->hash_pool);

	return err == OK ? pool_start(&exports, &app->export_pool) : err;
}

static enum err
start_parts(struct app *app, struct scoreboard *board, int slot)
{
	const struct config *config = app->config;
	enum err err;

	err = journal_start(config, slot, &board->spool, &app->journal);
	if (err != OK)
		return err;
	app->rules = rules_new();
	app->auth.verified = verified_new(&app->auth.keys);
	if (app->rules == NULL || app->auth.verified == NULL)
		return ERR_MEMORY;
	err = catalog_start(config, &app->catalog);
	if (err != OK)
		return err;
	err = auth_cache_start(config, notified, app, &app->auth.cache);
	if (err != OK)
		return err;
	err =
	    relay_new(config, app->journal, board->inflight[slot], &app->relay);
	if (err != OK)
		return err;
	err = start_pools(app);
	if (err != OK)
		return err;
	err = later_start(config, &app->later);
	if (err != OK)
		return err;
	err = ticket_start(config, &app->idempotency);
	if (err != OK)
		return err;
	return after_start(config, app->relay, &app->after);
}

enum err
app_start(const struct config *config, struct scoreboard *board, int slot,
    struct app *app)
{
	enum err err;

	memset(app, 0, sizeof(*app));
	app->config = config;
	app->auth.config = config;
	app->auth.keys.secret = config->jwt_secret;
	app->auth.keys.secret_old = config->jwt_secret_old;
	app->auth.keys.life_ms = config->jwt_expires_ms;
	app->limits = board->limits;
	app->logins = board->logins;
	app->slot = slot;
	app->scoreboard = board;
	app->started_us = board->started_us;
	err = uuid_make(&app->life);
	if (err == OK)
		err = start_parts(app, board, slot);
	if (err != OK) {
		log_error("cannot start: %s", err_name(err));
		app_stop(app, 0);
	}
	return err;
}

/* Before the slot is somebody else's. */
static void
end_life(const struct app *app)
{
	struct inflight *calls;
	struct uuid life;

	if (app->journal == NULL)
		return; /* it never was ours */
	calls = app->scoreboard->inflight[app->slot];
	if (inflight_count(calls) == 0 && inflight_life(calls, &life) &&
	    memcmp(&life, &app->life, sizeof(life)) == 0)
		inflight_end(calls);
}

/* What is done for a request is done before the slot's lock is let go: then
 * what this worker held would be taken for that of a dead one. */
void
app_stop(struct app *app, int64_t deadline_us)
{
	bool all_done;

	if (app->relay != NULL)
		relay_drain(app->relay, deadline_us);
	after_stop(app->after);
	pool_stop(app->export_pool);
	pool_stop(app->hash_pool);
	relay_free(app->relay);
	journal_end(app->journal);
	pool_stop(app->idempotency); /* all of them end requests */
	all_done = later_stop(app->later);
	auth_cache_stop(app->auth.cache);
	verified_free(app->auth.verified);
	catalog_stop(app->catalog);
	rules_free(app->rules);
	if (all_done) /* else somebody has to release our keys */
		end_life(app);
	journal_stop(app->journal);
	memset(app, 0, sizeof(*app));
}
