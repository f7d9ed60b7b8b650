/*
 * keeper.c - the journal's second thread: delivery of the spool, and chores.
 */
#include "journal/keeper.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "db/db.h"
#include "journal/indexer.h"
#include "journal/replay.h"

#define STATEMENT_MS     5000 /* a batch of the spool; live ones have less */
#define LOCK_MS          1000
#define TICK_AWAY_MS     100 /* so that a return is noticed in time */
#define TICK_UP_MS       1000
#define PROBE_US         1000000LL
#define ADOPT_US         5000000LL
#define FOLD_US          5000000LL
#define HOUR_US          3600000000LL
#define INDEX_US         200000LL /* at most, of each second */
#define ABANDONED_US     60000000LL
#define ABANDONED_MS     60000 /* after the last deadline of a call */
#define EXPIRE_ROUNDS    100   /* an hour; 10,000 rows each */
#define NUMBER_SIZE      24
#define IDEMPOTENCY_DAYS 1

struct keeper {
	const struct config *config;
	struct spool *spool;
	struct db *db;
	struct indexer indexer;
	struct replay replay; /* of the thread; its figures are copied out */
	pthread_t thread;
	pthread_mutex_t lock; /* guards stopping and the sleep */
	pthread_cond_t wake;
	bool stopping;
	atomic_bool stop; /* the same, for loops */
	atomic_bool up;
	atomic_ullong replayed, buried, corrupt;
	int64_t probe_at_us, adopt_at_us, fold_at_us, hour_at_us;
	int64_t ready_at_us, abandoned_at_us;
};

bool
keeper_database_up(const struct keeper *keeper)
{
	return atomic_load(&keeper->up);
}

static void
database_is_back(struct keeper *keeper)
{
	if (!atomic_exchange(&keeper->up, true))
		log_info("PostgreSQL takes records");
}

void
keeper_database_failed(struct keeper *keeper)
{
	if (!atomic_exchange(&keeper->up, false))
		return;
	log_warn("PostgreSQL does not take records: they go to the spool");
	pthread_mutex_lock(&keeper->lock);
	pthread_cond_signal(&keeper->wake);
	pthread_mutex_unlock(&keeper->lock);
}

void
keeper_stats(const struct keeper *keeper, struct keeper_stats *out)
{
	out->replayed = atomic_load(&keeper->replayed);
	out->buried = atomic_load(&keeper->buried);
	out->corrupt = atomic_load(&keeper->corrupt);
}

/* Is it time?  Then the next is after every_us. */
static bool
due(int64_t *at_us, int64_t every_us)
{
	int64_t now_us = clock_mono_us();

	if (now_us < *at_us)
		return false;
	*at_us = now_us + every_us;
	return true;
}

/* --- delivery --------------------------------------------------------- */

static void
copy_figures(struct keeper *keeper)
{
	atomic_store(&keeper->replayed, keeper->replay.records);
	atomic_store(&keeper->buried, keeper->replay.buried);
	atomic_store(&keeper->corrupt, keeper->replay.corrupt);
}

/* A batch of the spool went in, so the live ones can too. */
static enum err
batch_went_in(void *arg)
{
	struct keeper *keeper = arg;

	copy_figures(keeper);
	database_is_back(keeper);
	return atomic_load(&keeper->stop) ? ERR_GONE : OK;
}

static enum err
deliver_segment(struct keeper *keeper, const char *name)
{
	uint64_t before = keeper->replay.records;
	enum err err;

	err =
	    replay_segment(&keeper->replay, spool_dir_fd(keeper->spool), name);
	copy_figures(keeper);
	if (err != OK)
		return err;
	err = spool_remove(keeper->spool, name);
	if (err == ERR_SYSTEM)
		log_warn_errno("spool segment %s cannot be removed", name);
	else
		log_info("spool segment %s: %llu records delivered", name,
		    (unsigned long long)(keeper->replay.records - before));
	return err;
}

static bool
nothing_waits(struct keeper *keeper)
{
	return keeper->spool == NULL || spool_is_empty(keeper->spool);
}

/*
 * Delivers what waits.  The segment being written is sealed only when
 * PostgreSQL answers: an outage must not leave a file a tick.
 */
static void
deliver(struct keeper *keeper)
{
	char name[SLOT_NAME_SIZE];

	while (!atomic_load(&keeper->stop)) {
		if (keeper->spool != NULL &&
		    spool_oldest(keeper->spool, name) == OK) {
			if (deliver_segment(keeper, name) != OK)
				return;
			continue;
		}
		if (db_query(keeper->db, DB_SERVICE_PING, NULL, NULL) != OK)
			return;
		if (nothing_waits(keeper)) {
			database_is_back(keeper);
			return;
		}
		spool_seal(keeper->spool);
	}
}

/* --- chores ----------------------------------------------------------- */

static void
complain(struct keeper *keeper, enum err err)
{
	if (err != OK && err != ERR_BUSY && err != ERR_TIMEOUT)
		log_warn("a chore of the journal failed: %s %s",
		    db_fault(keeper->db)->sqlstate,
		    db_fault(keeper->db)->message);
}

static void
chore(struct keeper *keeper, enum db_stmt stmt)
{
	complain(keeper, db_query(keeper->db, stmt, NULL, NULL));
}

/* In small rounds, so that nothing is locked for long.  age is in what stmt
 * counts it in; 0: for ever. */
static void
expire(struct keeper *keeper, enum db_stmt stmt, int64_t age)
{
	struct buf text;
	const char *args[1];

	if (age <= 0)
		return;
	buf_init(&text, NUMBER_SIZE);
	buf_addf(&text, "%lld", (long long)age);
	args[0] = buf_str(&text);
	for (int i = 0; i < EXPIRE_ROUNDS; i++) {
		struct db_rows *rows = NULL;
		enum err err = db_query(keeper->db, stmt, args, &rows);
		bool more = err == OK && rows_count(rows) == 1 &&
			    rows_int64(rows, 0, 0) > 0;

		rows_free(rows);
		if (!more || atomic_load(&keeper->stop))
			break;
	}
	buf_fini(&text);
}

static void
do_chores(struct keeper *keeper)
{
	/* before what was counted is folded: it says who writes */
	complain(keeper, indexer_run(&keeper->indexer, INDEX_US));
	if (due(&keeper->fold_at_us, FOLD_US))
		chore(keeper, DB_MAINTENANCE_FOLD);
	if (due(&keeper->abandoned_at_us, ABANDONED_US))
		expire(keeper, DB_MAINTENANCE_ABANDONED,
		    keeper->config->total_ms + ABANDONED_MS);
	if (!due(&keeper->hour_at_us, HOUR_US))
		return;
	chore(keeper, DB_MAINTENANCE_PARTITIONS);
	expire(keeper, DB_MAINTENANCE_RETENTION,
	    keeper->config->retention_days);
	expire(keeper, DB_MAINTENANCE_CONTENT, keeper->config->content_days);
	expire(keeper, DB_MAINTENANCE_IDEMPOTENCY, IDEMPOTENCY_DAYS);
}

static void
look_after_spool(struct keeper *keeper)
{
	size_t moved = 0;

	if (keeper->spool == NULL)
		return;
	/* while it is needed, the disk is tried before a call finds out */
	if ((spool_is_failing(keeper->spool) || !keeper_database_up(keeper)) &&
	    due(&keeper->probe_at_us, PROBE_US))
		(void)!spool_probe(keeper->spool); /* again in a second */
	if (due(&keeper->ready_at_us, PROBE_US))
		spool_prepare(keeper->spool);
	if (due(&keeper->adopt_at_us, ADOPT_US) &&
	    spool_adopt(keeper->spool, &moved) != OK)
		log_warn_errno("the spool directory cannot be read");
}

/* --- the thread ------------------------------------------------------- */

static void
rest(struct keeper *keeper)
{
	int64_t ms = keeper_database_up(keeper) ? TICK_UP_MS : TICK_AWAY_MS;
	struct timespec until;

	(void)clock_gettime(CLOCK_MONOTONIC, &until); /* cannot fail */
	until.tv_nsec += (long)(ms % 1000) * 1000000L;
	until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	pthread_mutex_lock(&keeper->lock);
	if (!keeper->stopping)
		(void)pthread_cond_timedwait(&keeper->wake, &keeper->lock,
		    &until); /* late or early does no harm */
	pthread_mutex_unlock(&keeper->lock);
}

static void *
run(void *arg)
{
	struct keeper *keeper = arg;

	while (!atomic_load(&keeper->stop)) {
		look_after_spool(keeper);
		if (!keeper_database_up(keeper) || !nothing_waits(keeper))
			deliver(keeper);
		if (keeper_database_up(keeper))
			do_chores(keeper);
		rest(keeper);
	}
	return NULL;
}

static enum err
init(struct keeper *keeper)
{
	const struct db_options options = {
		.url = keeper->config->database_url,
		.application = "minuted keeper",
		.statement_ms = STATEMENT_MS,
		.lock_ms = LOCK_MS,
	};
	pthread_condattr_t attr;

	pthread_mutex_init(&keeper->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&keeper->wake, &attr);
	pthread_condattr_destroy(&attr);
	atomic_store(&keeper->up, true); /* until somebody finds otherwise */
	keeper->db = db_new(&options);
	if (keeper->db == NULL)
		return ERR_MEMORY;
	indexer_init(&keeper->indexer, keeper->db, &keeper->stop);
	replay_init(&keeper->replay, keeper->db);
	keeper->replay.progress = batch_went_in;
	keeper->replay.arg = keeper;
	if (db_connect(keeper->db) != OK)
		atomic_store(&keeper->up, false);
	return OK;
}

static void
destroy(struct keeper *keeper)
{
	db_free(keeper->db);
	pthread_cond_destroy(&keeper->wake);
	pthread_mutex_destroy(&keeper->lock);
	free(keeper);
}

enum err
keeper_start(const struct config *config, struct spool *spool,
    struct keeper **out)
{
	struct keeper *keeper = calloc(1, sizeof(*keeper));
	enum err err;

	if (keeper == NULL)
		return ERR_MEMORY;
	keeper->config = config;
	keeper->spool = spool;
	err = init(keeper);
	if (err == OK &&
	    pthread_create(&keeper->thread, NULL, run, keeper) != 0)
		err = ERR_SYSTEM;
	if (err != OK) {
		destroy(keeper);
		return err;
	}
	*out = keeper;
	return OK;
}

void
keeper_stop(struct keeper *keeper)
{
	if (keeper == NULL)
		return;
	atomic_store(&keeper->stop, true);
	pthread_mutex_lock(&keeper->lock);
	keeper->stopping = true;
	pthread_cond_signal(&keeper->wake);
	pthread_mutex_unlock(&keeper->lock);
	(void)pthread_join(keeper->thread, NULL); /* it was created */
	destroy(keeper);
}
