/*
 * pool.c - threads for requests that take long, each with its own connection.
 */
#include "api/pool.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/log.h"
#include "db/db.h"

struct worker {
	struct pool *pool;
	struct db *db;
	pthread_t thread;
};

struct pool {
	enum handled (*run)(struct http_request *req);
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t more;
	struct http_request **queue; /* a ring of queue_max */
	size_t queue_max, head, queued;
	bool stopping;
	struct worker *workers;
	size_t worker_count;
};

static struct http_request *
next_request(struct pool *pool)
{
	struct http_request *req = NULL;

	pthread_mutex_lock(&pool->lock);
	while (pool->queued == 0 && !pool->stopping)
		pthread_cond_wait(&pool->more, &pool->lock);
	if (pool->queued > 0) {
		req = pool->queue[pool->head];
		pool->head = (pool->head + 1) % pool->queue_max;
		pool->queued--;
	}
	pthread_mutex_unlock(&pool->lock);
	return req;
}

static void *
pool_thread(void *arg)
{
	struct worker *worker = arg;
	struct pool *pool = worker->pool;
	struct http_request *req;

	for (req = next_request(pool); req != NULL; req = next_request(pool)) {
		req->db = worker->db;
		if (pool->run(req) == ANSWERED)
			request_finish(req);
	}
	return NULL;
}

static enum err
start_threads(struct pool *pool, const struct pool_options *options)
{
	const struct config *config = options->config;
	const struct db_options access = { .url = config->database_url,
		.application = "minuted pool",
		.statement_ms = config->statement_ms,
		.lock_ms = config->lock_ms };

	for (size_t i = 0; i < options->threads; i++) {
		struct worker *worker = &pool->workers[i];

		worker->pool = pool;
		worker->db = db_new(&access);
		if (worker->db == NULL)
			return ERR_MEMORY;
		if (pthread_create(&worker->thread, NULL, pool_thread,
			worker) != 0) {
			db_free(worker->db);
			return ERR_SYSTEM;
		}
		pool->worker_count++;
	}
	return OK;
}

enum err
pool_start(const struct pool_options *options, struct pool **out)
{
	struct pool *pool = calloc(1, sizeof(*pool));

	if (pool == NULL)
		return ERR_MEMORY;
	pool->run = options->run;
	pool->queue_max = options->queue_max;
	/* NOLINTNEXTLINE(bugprone-sizeof-expression): a ring of pointers */
	pool->queue = calloc(options->queue_max, sizeof(*pool->queue));
	pool->workers = calloc(options->threads, sizeof(*pool->workers));
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->more, NULL);
	if (pool->queue == NULL || pool->workers == NULL ||
	    start_threads(pool, options) != OK) {
		log_error("cannot start the %s pool", options->name);
		pool_stop(pool);
		return ERR_SYSTEM;
	}
	*out = pool;
	return OK;
}

void
pool_stop(struct pool *pool)
{
	if (pool == NULL)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->stopping = true;
	pthread_cond_broadcast(&pool->more);
	pthread_mutex_unlock(&pool->lock);
	for (size_t i = 0; i < pool->worker_count; i++) {
		pthread_join(pool->workers[i].thread, NULL);
		db_free(pool->workers[i].db);
	}
	pthread_cond_destroy(&pool->more);
	pthread_mutex_destroy(&pool->lock);
	free(pool->workers);
	free(pool->queue);
	free(pool);
}

enum err
pool_submit(struct pool *pool, struct http_request *req)
{
	enum err err = ERR_BUSY;

	pthread_mutex_lock(&pool->lock);
	if (pool->queued < pool->queue_max && !pool->stopping) {
		size_t tail = (pool->head + pool->queued) % pool->queue_max;

		pool->queue[tail] = req;
		pool->queued++;
		req->db = NULL;
		pthread_cond_signal(&pool->more);
		err = OK;
	}
	pthread_mutex_unlock(&pool->lock);
	return err;
}
