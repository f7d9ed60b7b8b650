/*
 * pool.c - threads for requests that take long, each with its own connection.
 */
#include "api/pool.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/log.h"
#include "db/db.h"

struct pool {
	const struct config *config;
	enum handled (*run)(struct http_request *req);
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t more;
	struct http_request **queue; /* a ring of queue_max */
	size_t queue_max, head, queued;
	bool stopping;
	pthread_t *threads;
	size_t thread_count;
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
	struct pool *pool = arg;
	struct http_request *req;
	struct db *db =
	    db_new(&(struct db_options){ .url = pool->config->database_url,
		.application = "minuted pool",
		.statement_ms = pool->config->statement_ms,
		.lock_ms = pool->config->lock_ms });

	for (req = next_request(pool); req != NULL; req = next_request(pool)) {
		req->db = db;
		if (pool->run(req) == ANSWERED)
			request_finish(req);
	}
	db_free(db);
	return NULL;
}

static enum err
start_threads(struct pool *pool, size_t threads)
{
	for (size_t i = 0; i < threads; i++) {
		if (pthread_create(&pool->threads[i], NULL, pool_thread,
			pool) != 0)
			return ERR_SYSTEM;
		pool->thread_count++;
	}
	return OK;
}

enum err
pool_start(const struct pool_options *options, struct pool **out)
{
	struct pool *pool = calloc(1, sizeof(*pool));

	if (pool == NULL)
		return ERR_MEMORY;
	pool->config = options->config;
	pool->run = options->run;
	pool->queue_max = options->queue_max;
	/* NOLINTNEXTLINE(bugprone-sizeof-expression): a ring of pointers */
	pool->queue = calloc(options->queue_max, sizeof(*pool->queue));
	pool->threads = calloc(options->threads, sizeof(*pool->threads));
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->more, NULL);
	if (pool->queue == NULL || pool->threads == NULL ||
	    start_threads(pool, options->threads) != OK) {
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
	for (size_t i = 0; i < pool->thread_count; i++)
		pthread_join(pool->threads[i], NULL);
	pthread_cond_destroy(&pool->more);
	pthread_mutex_destroy(&pool->lock);
	free(pool->threads);
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
