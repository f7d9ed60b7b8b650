/*
 * journal.c - the group commit: the queue and the thread that empties it.
 *
 * The lock covers the queue only.  Records that were taken from it belong to
 * the journal thread until their done().
 */
#include "journal/journal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "journal/batch.h"
#include "journal/keeper.h"
#include "journal/pace.h"
#include "journal/prober.h"
#include "journal/segment.h"
#include "journal/spool.h"

#define LOCK_MS 1000
/* with neither PostgreSQL nor a spool: how long a batch is tried again */
#define KEEP_US       2000000LL
#define KEEP_PAUSE_NS 50000000L

struct journal {
	struct db *db;       /* of the thread */
	struct spool *spool; /* NULL without a SPOOL_DIR, as is prober */
	struct prober *prober;
	struct keeper *keeper;
	struct record_view *views; /* of the batch in hand */
	size_t views_cap;
	pthread_t thread;

	pthread_mutex_t lock; /* guards what follows up to stopping */
	pthread_cond_t wake;
	struct record *head;
	struct record **tail;
	struct record *in_hand; /* of the batch, until it is kept or not */
	bool sleeping;
	bool stopping;

	atomic_size_t queued;
	atomic_size_t queued_bytes;
	atomic_bool stop;
	atomic_llong busy_since_us; /* of the batch in hand; 0: none */
	struct pace pace;
	atomic_ullong records, batches, spooled, refused, buried, lost;
};

struct batch {
	struct record *first;
	size_t count;
};

/* --- places ----------------------------------------------------------- */

static bool
is_stalled(const struct journal *journal)
{
	int64_t since_us = atomic_load(&journal->busy_since_us);

	return since_us != 0 &&
	       clock_mono_us() - since_us > JOURNAL_STALL_MS * 1000LL;
}

/* A quarter of the queue is left to the records of calls that run. */
bool
journal_accepts(const struct journal *journal)
{
	if (is_stalled(journal) ||
	    atomic_load(&journal->queued) > JOURNAL_QUEUE_RECORDS / 4 * 3 ||
	    atomic_load(&journal->queued_bytes) > JOURNAL_QUEUE_BYTES / 4 * 3)
		return false;
	return keeper_database_up(journal->keeper) ||
	       (journal->spool != NULL && spool_has_place(journal->spool));
}

bool
journal_is_sure(const struct journal *journal)
{
	if (journal->spool == NULL)
		return false;
	prober_ask(journal->prober);
	return keeper_database_sure(journal->keeper) &&
	       spool_has_place(journal->spool) &&
	       spool_is_proven(journal->spool, SPOOL_SURE_MS);
}

/* How many batches would so many records and bytes be? */
static int64_t
batches_of(size_t count, size_t bytes)
{
	size_t by_count =
	    (count + JOURNAL_BATCH_RECORDS - 1) / JOURNAL_BATCH_RECORDS;
	size_t by_bytes =
	    (bytes + JOURNAL_BATCH_BYTES - 1) / JOURNAL_BATCH_BYTES;

	return (int64_t)(by_count > by_bytes ? by_count : by_bytes);
}

bool
journal_is_in_time(const struct journal *journal)
{
	int64_t waiting = batches_of(atomic_load(&journal->queued),
	    atomic_load(&journal->queued_bytes));
	bool in_hand = atomic_load(&journal->busy_since_us) != 0;

	return pace_wait_us(&journal->pace, waiting, in_hand) <
	       JOURNAL_WAIT_MS * 1000LL;
}

bool
journal_any_waits(const struct journal *journal)
{
	return journal->spool != NULL && spool_any_waits(journal->spool);
}

/* --- submitting ------------------------------------------------------- */

struct group {
	struct record *first, *last;
	size_t count, bytes;
};

static void
measure(struct group *group, struct record *first, size_t count)
{
	int64_t now_us = clock_mono_us();
	struct record *record = first;

	*group = (struct group){ .first = first, .count = count };
	for (size_t i = 0; i < count; i++) {
		record->queued_us = now_us;
		record->more = i + 1 < count;
		group->bytes += record->len;
		group->last = record;
		record = record->next;
	}
}

/* Could the group be kept, as things are, after what is queued? */
static bool
can_keep(const struct journal *journal, const struct group *group)
{
	size_t count = atomic_load(&journal->queued) + group->count;
	size_t bytes = atomic_load(&journal->queued_bytes) + group->bytes;

	if (is_stalled(journal))
		return false;
	if (keeper_database_up(journal->keeper))
		return true;
	if (journal->spool == NULL)
		return false;
	if (group->first->owed)
		return !spool_is_failing(journal->spool);
	return spool_fits(journal->spool, bytes + count * SEGMENT_RECORD_SIZE);
}

static bool
fits(const struct journal *journal, const struct group *group)
{
	return atomic_load(&journal->queued) + group->count <=
		   JOURNAL_QUEUE_RECORDS &&
	       atomic_load(&journal->queued_bytes) + group->bytes <=
		   JOURNAL_QUEUE_BYTES;
}

static enum err
enqueue(struct journal *journal, struct group *group)
{
	bool wake = false;
	enum err err = ERR_BUSY;

	pthread_mutex_lock(&journal->lock);
	if (!journal->stopping && fits(journal, group)) {
		group->last->next = NULL;
		*journal->tail = group->first;
		journal->tail = &group->last->next;
		atomic_fetch_add(&journal->queued, group->count);
		atomic_fetch_add(&journal->queued_bytes, group->bytes);
		wake = journal->sleeping;
		journal->sleeping = false;
		err = OK;
	}
	pthread_mutex_unlock(&journal->lock);
	if (wake)
		pthread_cond_signal(&journal->wake);
	return err;
}

enum err
journal_submit_all(struct journal *journal, struct record *first, size_t count)
{
	struct group group;
	enum err err = ERR_BUSY;

	if (count == 0)
		return ERR_BUG;
	measure(&group, first, count);
	if (can_keep(journal, &group))
		err = enqueue(journal, &group);
	if (err != OK)
		atomic_fetch_add(&journal->refused, count);
	return err;
}

enum err
journal_submit(struct journal *journal, struct record *record)
{
	return journal_submit_all(journal, record, 1);
}

/* --- the thread ------------------------------------------------------- */

/* The first records of the queue, whole groups, with the lock held. */
static void
cut(struct journal *journal, struct batch *batch)
{
	struct record **at = &journal->head;
	size_t bytes = 0;
	bool more = false;

	batch->first = journal->head;
	batch->count = 0;
	while (*at != NULL && (more || (batch->count < JOURNAL_BATCH_RECORDS &&
					   bytes < JOURNAL_BATCH_BYTES))) {
		more = (*at)->more;
		bytes += (*at)->len;
		batch->count++;
		at = &(*at)->next;
	}
	journal->head = *at;
	if (journal->head == NULL)
		journal->tail = &journal->head;
	*at = NULL;
	atomic_fetch_sub(&journal->queued, batch->count);
	atomic_fetch_sub(&journal->queued_bytes, bytes);
}

/* Waits for records; false when stopping and none is left. */
static bool
take(struct journal *journal, struct batch *batch)
{
	bool any;

	pthread_mutex_lock(&journal->lock);
	while (journal->head == NULL && !journal->stopping) {
		journal->sleeping = true;
		pthread_cond_wait(&journal->wake, &journal->lock);
	}
	journal->sleeping = false;
	any = journal->head != NULL;
	if (any) {
		cut(journal, batch);
		journal->in_hand = batch->first;
	}
	pthread_mutex_unlock(&journal->lock);
	return any;
}

static enum err
view(struct journal *journal, const struct batch *batch)
{
	size_t i = 0;

	if (batch->count > journal->views_cap) {
		struct record_view *views =
		    realloc(journal->views, batch->count * sizeof(*views));

		if (views == NULL)
			return ERR_MEMORY;
		journal->views = views;
		journal->views_cap = batch->count;
	}
	for (const struct record *r = batch->first; r != NULL; r = r->next)
		journal->views[i++] = (struct record_view){ .kind = r->kind,
			.id = r->id,
			.line = r->line,
			.len = r->len,
			.is_new = r->is_new,
			.owed = r->owed };
	return OK;
}

/*
 * A connection can be lost without PostgreSQL being away (an administrator
 * ended it), so the same batch is tried once more when a new one is to be had.
 */
static enum err
write_to_database(struct journal *journal, size_t count)
{
	uint64_t buried = 0;
	enum err err;

	err = batch_write(journal->db, journal->views, count, &buried);
	if (err == ERR_BUSY && db_connect(journal->db) == OK)
		err = batch_write(journal->db, journal->views, count, &buried);
	atomic_fetch_add(&journal->buried, buried);
	return err;
}

static enum durable
try_to_keep(struct journal *journal, size_t count)
{
	if (keeper_database_up(journal->keeper)) {
		if (write_to_database(journal, count) == OK)
			return DURABLE_DB;
		keeper_database_failed(journal->keeper);
	}
	if (journal->spool == NULL)
		return DURABLE_NONE;
	if (spool_append(journal->spool, journal->views, count) != OK) {
		prober_ask(journal->prober); /* until it works again */
		return DURABLE_NONE;
	}
	atomic_fetch_add(&journal->spooled, count);
	return DURABLE_SPOOL;
}

static bool
all_at_once(const struct batch *batch)
{
	const struct record *record = batch->first;

	while (record != NULL && record->at_once)
		record = record->next;
	return record == NULL;
}

static enum durable
keep(struct journal *journal, const struct batch *batch)
{
	const struct timespec pause = { .tv_nsec = KEEP_PAUSE_NS };
	int64_t until_us = clock_mono_us() + KEEP_US;
	enum durable how = DURABLE_NONE;

	while (view(journal, batch) != OK ||
	       (how = try_to_keep(journal, batch->count)) == DURABLE_NONE) {
		if (clock_mono_us() >= until_us ||
		    atomic_load(&journal->stop) || all_at_once(batch))
			break;
		(void)nanosleep(&pause, NULL); /* a shorter one is fine */
	}
	if (how != DURABLE_NONE)
		return how;
	atomic_fetch_add(&journal->lost, batch->count);
	log_error("%zu records could be kept neither in PostgreSQL nor in the "
		  "spool; their clients are told",
	    batch->count);
	return DURABLE_NONE;
}

static void
finish(struct journal *journal, struct batch *batch, enum durable how)
{
	struct record *record = batch->first;

	pthread_mutex_lock(&journal->lock);
	journal->in_hand = NULL;
	pthread_mutex_unlock(&journal->lock);
	while (record != NULL) {
		struct record *next = record->next;

		record->next = NULL;
		if (record->done != NULL)
			record->done(record, how);
		record_free(record);
		record = next;
	}
}

static void *
run(void *arg)
{
	struct journal *journal = arg;
	struct batch batch;

	if (batch_warm(journal->db) != OK)
		keeper_database_failed(journal->keeper);
	while (take(journal, &batch)) {
		enum durable how;

		atomic_store(&journal->busy_since_us, clock_mono_us());
		how = keep(journal, &batch);
		pace_note(&journal->pace,
		    clock_mono_us() - atomic_load(&journal->busy_since_us));
		atomic_store(&journal->busy_since_us, 0);
		atomic_fetch_add(&journal->batches, 1);
		atomic_fetch_add(&journal->records, batch.count);
		finish(journal, &batch, how);
	}
	return NULL;
}

/* --- watching --------------------------------------------------------- */

static bool
is_late(const struct record *record, int64_t before_us)
{
	return record->hurried && record->done != NULL &&
	       record->queued_us < before_us;
}

/*
 * Those of the batch in hand that have waited for too long are answered for by
 * what this adds to late.  The records stay where they are.
 */
static void
collect_in_hand(struct record *list, int64_t before_us, struct record **late)
{
	for (struct record *r = list; r != NULL; r = r->next) {
		struct record *stub;

		if (!is_late(r, before_us))
			continue;
		stub = calloc(1, sizeof(*stub));
		if (stub == NULL)
			return; /* the next time */
		*stub = *r;
		stub->line = NULL;
		stub->next = *late;
		r->done = NULL;
		*late = stub;
	}
}

/* The group that begins at *at: how many, their bytes, its last record. */
static void
look_at_group(struct record *first, struct group *group)
{
	*group = (struct group){ .first = first, .last = first };
	for (;;) {
		group->count++;
		group->bytes += group->last->len;
		if (!group->last->more)
			return;
		group->last = group->last->next;
	}
}

/* Whole groups leave the queue: who is told to send them again does, and they
 * would only be in the way of that. */
static void
take_out_late(struct journal *journal, int64_t before_us, struct record **late)
{
	struct record **at = &journal->head;
	struct group group;

	while (*at != NULL && (*at)->queued_us < before_us) {
		look_at_group(*at, &group);
		if (!is_late(group.last, before_us)) {
			at = &group.last->next;
			continue;
		}
		*at = group.last->next;
		if (*at == NULL)
			journal->tail = at;
		group.last->next = *late;
		*late = group.first;
		atomic_fetch_sub(&journal->queued, group.count);
		atomic_fetch_sub(&journal->queued_bytes, group.bytes);
		atomic_fetch_add(&journal->refused, group.count);
	}
}

void
journal_watch(struct journal *journal)
{
	int64_t before_us = clock_mono_us() - JOURNAL_WAIT_MS * 1000LL;
	struct record *late = NULL;

	if (journal->spool != NULL)
		spool_tell_stalled(journal->spool, is_stalled(journal));
	pthread_mutex_lock(&journal->lock);
	collect_in_hand(journal->in_hand, before_us, &late);
	take_out_late(journal, before_us, &late);
	pthread_mutex_unlock(&journal->lock);
	while (late != NULL) {
		struct record *next = late->next;

		late->next = NULL;
		if (late->done != NULL)
			late->done(late, DURABLE_NONE);
		record_free(late);
		late = next;
	}
}

/* --- life ------------------------------------------------------------- */

static enum err
open_spool(const struct config *config, int instance, struct spool_board *board,
    struct spool **out)
{
	const struct spool_options options = {
		.dir = config->spool_dir,
		.slot = instance,
		.bytes_max = (uint64_t)config->spool_max,
		.board = board,
	};

	*out = NULL;
	if (config->spool_dir == NULL || *config->spool_dir == '\0')
		return OK;
	return spool_open(&options, out);
}

static struct db *
open_database(const struct config *config)
{
	int64_t statement_ms = JOURNAL_TAKE_MS;
	struct db_options options = { .url = config->database_url,
		.application = "minuted journal",
		.lock_ms = LOCK_MS };

	if (config->statement_ms > 0 && config->statement_ms < statement_ms)
		statement_ms = config->statement_ms;
	options.statement_ms = statement_ms;
	return db_new(&options);
}

static enum err
start_parts(struct journal *journal, const struct config *config, int instance,
    struct spool_board *board)
{
	enum err err;

	err = open_spool(config, instance, board, &journal->spool);
	if (err != OK)
		return err;
	journal->db = open_database(config);
	if (journal->db == NULL)
		return ERR_MEMORY;
	if (journal->spool != NULL)
		err = prober_start(journal->spool, &journal->prober);
	if (err != OK)
		return err;
	err = keeper_start(config, journal->spool, journal->prober,
	    &journal->keeper);
	if (err != OK)
		return err;
	if (pthread_create(&journal->thread, NULL, run, journal) != 0)
		return ERR_SYSTEM;
	return OK;
}

static void
destroy(struct journal *journal)
{
	keeper_stop(journal->keeper);
	prober_stop(journal->prober);
	db_free(journal->db);
	spool_close(journal->spool);
	free(journal->views);
	pthread_cond_destroy(&journal->wake);
	pthread_mutex_destroy(&journal->lock);
	free(journal);
}

enum err
journal_start(const struct config *config, int instance,
    struct spool_board *board, struct journal **out)
{
	struct journal *journal = calloc(1, sizeof(*journal));
	enum err err;

	if (journal == NULL)
		return ERR_MEMORY;
	pthread_mutex_init(&journal->lock, NULL);
	pthread_cond_init(&journal->wake, NULL);
	journal->tail = &journal->head;
	err = start_parts(journal, config, instance, board);
	if (err != OK) {
		destroy(journal);
		return err;
	}
	*out = journal;
	return OK;
}

void
journal_end(struct journal *journal)
{
	if (journal == NULL || atomic_load(&journal->stop))
		return;
	atomic_store(&journal->stop, true);
	pthread_mutex_lock(&journal->lock);
	journal->stopping = true;
	pthread_cond_signal(&journal->wake);
	pthread_mutex_unlock(&journal->lock);
	(void)pthread_join(journal->thread, NULL); /* it was created */
}

void
journal_stop(struct journal *journal)
{
	if (journal == NULL)
		return;
	journal_end(journal);
	destroy(journal);
}

void
journal_stats(const struct journal *journal, struct journal_stats *out)
{
	struct keeper_stats keeper;

	keeper_stats(journal->keeper, &keeper);
	*out = (struct journal_stats){
		.records = atomic_load(&journal->records),
		.batches = atomic_load(&journal->batches),
		.spooled = atomic_load(&journal->spooled),
		.replayed = keeper.replayed,
		.refused = atomic_load(&journal->refused),
		.dead_letters = atomic_load(&journal->buried) + keeper.buried,
		.lost = atomic_load(&journal->lost),
		.corrupt = keeper.corrupt,
		.queued = atomic_load(&journal->queued),
		.database_up = keeper_database_up(journal->keeper),
	};
	if (journal->spool == NULL)
		return;
	out->spool_bytes = spool_bytes(journal->spool);
	out->passed_over = spool_passed_over(journal->spool);
	out->spool_up = spool_is_writable(journal->spool);
}
