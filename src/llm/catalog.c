/*
 * catalog.c - the current snapshot, read again when it is due.
 *
 * One thread reads while the others use the old snapshot; only where there is
 * none yet do they wait for it.  lock covers everything in struct catalog.
 */
#include "llm/catalog.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "llm/snapshot.h"

#define AGE_US       INT64_C(30000000) /* read again after */
#define RETRY_US     INT64_C(1000000)  /* after a failure */
#define PROBLEMS_MAX ((size_t)8192)

struct catalog {
	const struct config *config;
	pthread_mutex_t lock;
	pthread_cond_t loaded;
	struct snapshot *current; /* holds a reference; NULL at first */
	struct buf problems;      /* of the last reading, logged once */
	int64_t due_us;           /* 0: at the next use */
	bool loading;
};

enum err
catalog_start(const struct config *config, struct catalog **out)
{
	struct catalog *catalog = calloc(1, sizeof(*catalog));

	if (catalog == NULL)
		return ERR_MEMORY;
	catalog->config = config;
	/* Neither can fail with glibc. */
	(void)pthread_mutex_init(&catalog->lock, NULL);
	(void)pthread_cond_init(&catalog->loaded, NULL);
	buf_init(&catalog->problems, PROBLEMS_MAX);
	*out = catalog;
	return OK;
}

void
catalog_stop(struct catalog *catalog)
{
	if (catalog == NULL)
		return;
	snapshot_release(catalog->current);
	buf_fini(&catalog->problems);
	pthread_cond_destroy(&catalog->loaded);
	pthread_mutex_destroy(&catalog->lock);
	free(catalog);
}

static int64_t
number(const struct db_rows *rows, size_t row, size_t col)
{
	return rows_is_null(rows, row, col) ? -1 : rows_int64(rows, row, col);
}

static enum err
read_provider(struct snapshot *snapshot, const struct db_rows *rows, size_t i)
{
	struct provider_row row = {
		.name = rows_text(rows, i, 0),
		.kind = rows_text(rows, i, 1),
		.base_url = rows_text(rows, i, 2),
		.key_env = rows_text(rows, i, 3),
		.any_model = rows_bool(rows, i, 4),
		.allow_local = rows_bool(rows, i, 5),
	};

	return snapshot_add_provider(snapshot, &row);
}

static enum err
read_model(struct snapshot *snapshot, const struct db_rows *rows, size_t i)
{
	struct model_row row = {
		.provider = rows_text(rows, i, 0),
		.name = rows_text(rows, i, 1),
		.upstream_name = rows_text(rows, i, 2),
		.context = rows_int64(rows, i, 3),
		.created_s = rows_int64(rows, i, 4),
	};

	return snapshot_add_model(snapshot, &row);
}

static enum err
read_price(struct snapshot *snapshot, const struct db_rows *rows, size_t i)
{
	struct price_row row = {
		.provider = rows_text(rows, i, 0),
		.model = rows_text(rows, i, 1),
		.price = {
			.input = number(rows, i, 2),
			.output = number(rows, i, 3),
			.cache_read = number(rows, i, 4),
			.cache_write = number(rows, i, 5),
		},
	};

	return snapshot_add_price(snapshot, &row);
}

static enum err
read_rows(struct snapshot *snapshot, struct db *db, enum db_stmt stmt,
    enum err (*read)(struct snapshot *snapshot, const struct db_rows *rows,
	size_t i))
{
	struct db_rows *rows = NULL;
	enum err err = db_query(db, stmt, NULL, &rows);

	for (size_t i = 0; err == OK && i < rows_count(rows); i++)
		err = read(snapshot, rows, i);
	rows_free(rows);
	return err;
}

static enum err
read_snapshot(const struct config *config, struct db *db, struct buf *problems,
    struct snapshot **out)
{
	struct snapshot *snapshot = snapshot_new(config, problems);
	enum err err;

	if (snapshot == NULL)
		return ERR_MEMORY;
	err = read_rows(snapshot, db, DB_CATALOG_PROVIDERS, read_provider);
	if (err == OK)
		err = read_rows(snapshot, db, DB_CATALOG_MODELS, read_model);
	if (err == OK)
		err = read_rows(snapshot, db, DB_CATALOG_PRICES, read_price);
	if (err == OK)
		err = snapshot_close(snapshot);
	if (err != OK) {
		snapshot_release(snapshot);
		return err;
	}
	*out = snapshot;
	return OK;
}

/* A line each, once: not again until something else is wrong. */
static void
tell_problems(struct catalog *catalog, struct buf *problems)
{
	const char *at = buf_str(problems);
	size_t len;

	if (strcmp(at, buf_str(&catalog->problems)) == 0)
		return;
	for (; *at != '\0'; at += len + (at[len] == '\n')) {
		len = strcspn(at, "\n");
		log_warn("%.*s", (int)len, at);
	}
	buf_reset(&catalog->problems);
	buf_add(&catalog->problems, buf_str(problems), problems->len);
}

/* catalog->lock is held before and after, not while reading. */
static enum err
reload(struct catalog *catalog, struct db *db)
{
	struct snapshot *fresh = NULL, *old;
	struct buf problems;
	enum err err;

	catalog->loading = true;
	/* A change that is told while this reads makes it due again. */
	catalog->due_us = clock_mono_us() + AGE_US;
	pthread_mutex_unlock(&catalog->lock);
	buf_init(&problems, PROBLEMS_MAX);
	err = read_snapshot(catalog->config, db, &problems, &fresh);
	pthread_mutex_lock(&catalog->lock);
	old = NULL;
	if (err == OK) {
		old = catalog->current;
		catalog->current = fresh;
		tell_problems(catalog, &problems);
		log_debug("%zu models were read", snapshot_count(fresh));
	} else {
		catalog->due_us = clock_mono_us() + RETRY_US;
	}
	catalog->loading = false;
	pthread_cond_broadcast(&catalog->loaded);
	snapshot_release(old);
	buf_fini(&problems);
	return err;
}

void
catalog_changed(struct catalog *catalog)
{
	pthread_mutex_lock(&catalog->lock);
	catalog->due_us = 0;
	pthread_mutex_unlock(&catalog->lock);
}

enum err
catalog_snapshot(struct catalog *catalog, struct db *db, struct snapshot **out)
{
	pthread_mutex_lock(&catalog->lock);
	while (catalog->current == NULL && catalog->loading)
		pthread_cond_wait(&catalog->loaded, &catalog->lock);
	if (db != NULL && !catalog->loading &&
	    (catalog->current == NULL || clock_mono_us() >= catalog->due_us))
		(void)!reload(catalog, db); /* the old one serves on */
	*out = catalog->current;
	if (*out != NULL)
		snapshot_hold(*out);
	pthread_mutex_unlock(&catalog->lock);
	return *out == NULL ? ERR_BUSY : OK;
}
