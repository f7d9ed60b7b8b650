/*
 * test_starts.c - threads with a connection, when there is no memory for one.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "api/later.h"
#include "api/pool.h"
#include "base/log.h"
#include "db/db.h"

static const struct config config;
static int room; /* for so many connections */

struct db {
	char nothing;
};

struct db *
db_new(const struct db_options *options)
{
	(void)options;
	return room-- > 0 ? calloc(1, sizeof(struct db)) : NULL;
}

void
db_free(struct db *db)
{
	free(db);
}

enum err
db_query(struct db *db, enum db_stmt stmt, const char *const *args,
    struct db_rows **rows)
{
	(void)db;
	(void)stmt;
	(void)args;
	if (rows != NULL)
		*rows = NULL;
	return OK;
}

size_t
rows_count(const struct db_rows *rows)
{
	(void)rows;
	return 0;
}

void
rows_free(struct db_rows *rows)
{
	(void)rows;
}

static enum handled
never(struct http_request *req)
{
	(void)req;
	return PARKED;
}

static enum err
start_pool(int connections)
{
	const struct pool_options options = { .config = &config,
		.name = "test",
		.threads = 3,
		.queue_max = 1,
		.run = never };
	struct pool *pool = NULL;
	enum err err;

	log_setup(LOG_ERROR, "test");
	room = connections;
	err = pool_start(&options, &pool);
	cr_expect_eq(pool != NULL, err == OK);
	pool_stop(pool);
	return err;
}

Test(starts, a_pool_has_a_connection_for_each_thread_or_does_not_start,
    .timeout = 20)
{
	cr_expect_neq(start_pool(0), OK);
	cr_expect_neq(start_pool(2), OK);
	cr_expect_eq(start_pool(3), OK);
}

Test(starts, what_is_done_later_has_a_connection_or_does_not_start,
    .timeout = 20)
{
	struct later *later = NULL;

	cr_expect_eq(later_start(&config, &later), ERR_MEMORY);
	cr_expect_null(later);
	room = 1;
	cr_expect_eq(later_start(&config, &later), OK);
	cr_expect(later_stop(later));
}
