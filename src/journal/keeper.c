/*
 * keeper.c - the journal's second thread: delivery of the spool, and chores.
 */
#include "journal/keeper.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "db/db.h"
#include "journal/indexer.h"
#include "journal/replay.h"

#define STATEMENT_MS     5000 /* a batch of the spool; live ones have less */
#define LOCK_MS          1000
#define TICK_AWAY_MS     100 /* so that a return is noticed in time */
#define TICK_MS          1000
#define READY_US         1000000LL
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
	struct prober *prober;
	struct db *db;
	struct indexer indexer;
	struct replay replay; /* of the thread; its figures are copied out */
	pthread_t thread;
	int wake_fd;
	atomic_bool stop;
	atomic_bool up;
	atomic_bool doubtful; /* the connection was lost: PostgreSQL is asked */
	atomic_ullong replayed, buried, corrupt;
	int64_t adopt_at_us, fold_at_us, hour_at_us;
	int64_t ready_at_us, abandoned_at_us;
};

bool
keeper_database_up(const struct keeper *keeper)
{
	return atomic_load(&keeper->up);
}

bool
keeper_database_sure(const struct keeper *keeper)
{
	return keeper_database_up(keeper) && !atomic_load(&keeper->doubtful);
}

static void
database_is_back(struct keeper *keeper)
{
	if (!atomic_exchange(&keeper->up, true))
		log_info("PostgreSQL takes records");
}

static void
wake(struct keeper *keeper)
{
	uint64_t one = 1;

	/* Fails only when the counter is full, and then it is readable. */
	(void)!write(keeper->wake_fd, &one, sizeof(one));
}

void
keeper_database_failed(struct keeper *keeper)
{
	if (!atomic_exchange(&keeper->up, false))
		return;
	log_warn("PostgreSQL does not take records: they go to the spool");
	wake(keeper);
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
	if (err == OK)
		err = spool_remove(keeper->spool, name);
	if (err == ERR_MISSING)
		return OK; /* it was removed before, or its slot was */
	if ((err == ERR_SYSTEM || err == ERR_INPUT) &&
	    spool_pass_over(keeper->spool, name, err))
		return OK; /* the others do not wait for it */
	if (err == OK)
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
 * Delivers what waits.  A segment is read and the one being written is sealed
 * only when PostgreSQL can be reached: an outage must not cost a segment's
 * reading a tick, or leave a file.
 */
static void
deliver(struct keeper *keeper)
{
	char name[SLOT_NAME_SIZE];

	while (!atomic_load(&keeper->stop) && db_connect(keeper->db) == OK) {
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
	const char *args[3] = { NULL }; /* no id, no user */

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
	if (!keeper_database_up(keeper))
		prober_ask(keeper->prober);
	if (due(&keeper->ready_at_us, READY_US))
		spool_prepare(keeper->spool);
	if (due(&keeper->adopt_at_us, ADOPT_US))
		spool_adopt(keeper->spool, &moved);
}

/* --- the thread ------------------------------------------------------- */

/* A PostgreSQL that can be reached and takes nothing, as with a full disk, is
 * not given the same segment ten times a second. */
static int
tick_ms(const struct keeper *keeper)
{
	bool away = !keeper_database_up(keeper) && db_fd(keeper->db) < 0;

	return away ? TICK_AWAY_MS : TICK_MS;
}

/* True when something came on the connection of itself, as its end does. */
static bool
rest(struct keeper *keeper)
{
	struct pollfd fds[] = {
		{ .fd = keeper->wake_fd, .events = POLLIN },
		{ .fd = db_fd(keeper->db), .events = POLLIN },
	};
	uint64_t count;

	(void)poll(fds, 2, tick_ms(keeper));
	if ((fds[0].revents & POLLIN) != 0)
		(void)!read(keeper->wake_fd, &count, sizeof(count));
	return fds[1].revents != 0;
}

/* An administrator may have ended this connection only, so PostgreSQL is asked
 * on another one. */
static void
check_database(struct keeper *keeper)
{
	atomic_store(&keeper->doubtful, true);
	if (db_query(keeper->db, DB_SERVICE_PING, NULL, NULL) != OK)
		keeper_database_failed(keeper);
	atomic_store(&keeper->doubtful, false);
}

static bool
lost_connection(const struct keeper *keeper)
{
	return keeper_database_up(keeper) && db_fd(keeper->db) < 0;
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
		if (lost_connection(keeper) || rest(keeper))
			check_database(keeper);
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

	keeper->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (keeper->wake_fd < 0)
		return ERR_SYSTEM;
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
	if (keeper->wake_fd >= 0)
		(void)close(keeper->wake_fd); /* cannot fail so */
	free(keeper);
}

enum err
keeper_start(const struct config *config, struct spool *spool,
    struct prober *prober, struct keeper **out)
{
	struct keeper *keeper = calloc(1, sizeof(*keeper));
	enum err err;

	if (keeper == NULL)
		return ERR_MEMORY;
	keeper->config = config;
	keeper->spool = spool;
	keeper->prober = prober;
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
	wake(keeper);
	(void)pthread_join(keeper->thread, NULL); /* it was created */
	destroy(keeper);
}
