/*
 * keeping.c - the records of calls on their way to the journal.
 *
 * That of a start is given to it once; the provider is asked if it is kept.
 *
 * The record of an end is given to the journal until it is durable.  A client
 * waits for that only so long; then it is told that the call failed, and the
 * record goes on without it, as an orphan.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "llm/progress.h"

#define WAIT_US INT64_C(10000000) /* a client waits so long for its record */

static void
on_durable(struct record *record, enum durable how)
{
	struct keeping *keeping = record->arg;

	keeping->how = how;
	relay_kept(keeping->relay, keeping);
}

static void
on_running(struct record *record, enum durable how)
{
	(void)record;
	(void)how;
}

static enum err
make_record(const struct progress *progress, struct record **out)
{
	struct call_row row;
	enum err err;

	call_fill_row(progress->call, &row);
	err = record_call(&row, out);
	if (err == OK)
		(*out)->is_new = !progress->running_logged;
	return err;
}

void
keeping_running(struct progress *progress)
{
	struct record *record;

	if (make_record(progress, &record) != OK)
		return; /* the next sweep tries again */
	record->done = on_running;
	if (journal_submit(progress->relay->journal, record) == OK)
		progress->running_logged = true;
	else
		record_free(record);
}

/* Gives the record to the journal; false: it has no place now. */
static bool
submit(struct keeping *keeping)
{
	struct record *record = keeping->record;

	record->done = on_durable;
	record->arg = keeping;
	record->owed = !keeping->is_start;
	keeping->record = NULL;
	if (journal_submit(keeping->relay->journal, record) == OK)
		return true;
	keeping->record = record;
	return false;
}

static struct keeping *
keeping_new(struct progress *progress)
{
	struct keeping *keeping = calloc(1, sizeof(*keeping));

	if (keeping == NULL)
		return NULL;
	keeping->relay = progress->relay;
	keeping->progress = progress;
	keeping->slot = progress->slot;
	memcpy(keeping->call, progress->call->id_text, sizeof(keeping->call));
	return keeping;
}

static void
keeping_free(struct keeping *keeping)
{
	record_free(keeping->record);
	record_free(keeping->copy);
	free(keeping);
}

bool
keeping_start(struct progress *progress)
{
	struct keeping *keeping = keeping_new(progress);

	if (keeping == NULL)
		return false;
	keeping->is_start = true;
	if (make_record(progress, &keeping->record) != OK)
		goto fail;
	keeping->record->hurried = true;
	keeping->record->at_once = true;
	atomic_fetch_add(&progress->relay->left, 1);
	if (!submit(keeping)) {
		relay_leave(progress->relay);
		goto fail;
	}
	progress->start = keeping;
	progress->running_logged = true;
	return true;
fail:
	keeping_free(keeping);
	return false;
}

void
keeping_forget_start(struct progress *progress)
{
	if (progress->start != NULL)
		progress->start->progress = NULL;
	progress->start = NULL;
}

static void
started(struct keeping *keeping)
{
	struct progress *progress = keeping->progress;

	if (progress != NULL) {
		progress->start = NULL;
		if (keeping->how == DURABLE_NONE)
			progress_refuse(progress);
		else
			progress_send(progress);
	}
	relay_leave(keeping->relay);
	keeping_free(keeping);
}

void
keeping_end(struct progress *progress)
{
	if (progress->keeping == NULL)
		progress->keeping = keeping_new(progress);
	if (progress->keeping == NULL)
		return; /* the next sweep tries again */
	if (progress->keeping->record == NULL &&
	    make_record(progress, &progress->keeping->record) != OK)
		return;
	if (submit(progress->keeping))
		progress->phase = PHASE_COMMIT;
}

static struct record *
record_copy(const struct record *record)
{
	struct record *copy = calloc(1, sizeof(*copy));

	if (copy == NULL)
		return NULL;
	copy->line = malloc(record->len + 1);
	if (copy->line == NULL) {
		free(copy);
		return NULL;
	}
	memcpy(copy->line, record->line, record->len);
	copy->line[record->len] = '\0';
	copy->len = record->len;
	copy->kind = record->kind;
	copy->id = record->id;
	copy->user_id = record->user_id;
	return copy;
}

static void
add_orphan(struct keeping *keeping)
{
	keeping->next = keeping->relay->orphans;
	keeping->relay->orphans = keeping;
}

/* Its place among the calls in hand stays: a sweep finds the call there once
 * this process has ended, and logs it with what it has of its text. */
static void
give_up(struct keeping *keeping)
{
	log_error("the record of call %s has no place: neither PostgreSQL nor "
		  "the spool takes it",
	    keeping->call);
	relay_leave(keeping->relay);
	keeping_free(keeping);
}

void
keeping_orphan(struct progress *progress)
{
	struct keeping *keeping = progress->keeping;

	progress->keeping = NULL;
	if (keeping != NULL) {
		atomic_fetch_add(&progress->relay->left, 1);
		keeping->progress = NULL;
		if (make_record(progress, &keeping->copy) != OK)
			keeping->copy = NULL;
		if (progress->phase == PHASE_OVER)
			add_orphan(keeping);
	} else {
		log_error("call %s: no memory for its record", /* a sweep's */
		    progress->call->id_text);
	}
	progress->slot = NULL;
	progress_settle(progress, DURABLE_NONE);
}

void
keeping_wait(struct progress *progress, int64_t now_us)
{
	if (now_us - progress->call->ended_us > WAIT_US)
		keeping_orphan(progress);
	else if (progress->phase == PHASE_OVER)
		keeping_end(progress);
}

static void
not_durable(struct keeping *keeping)
{
	if (keeping->progress != NULL)
		keeping->progress->phase = PHASE_OVER;
	else if (keeping->copy != NULL)
		add_orphan(keeping);
	else
		give_up(keeping);
}

void
keeping_done(struct keeping *keeping)
{
	struct progress *progress = keeping->progress;
	struct relay *relay = keeping->relay;
	enum durable how = keeping->how;

	if (keeping->is_start) {
		started(keeping);
		return;
	}
	if (how == DURABLE_NONE) {
		not_durable(keeping);
		return;
	}
	if (keeping->slot != NULL)
		inflight_leave(relay->inflight, keeping->slot);
	keeping_free(keeping);
	if (progress == NULL) {
		relay_leave(relay);
		return;
	}
	progress->slot = NULL;
	progress->keeping = NULL;
	progress_settle(progress, how);
}

static void
retry_orphan(struct keeping *keeping)
{
	if (keeping->record == NULL && keeping->copy != NULL)
		keeping->record = record_copy(keeping->copy);
	if (keeping->record == NULL && keeping->copy == NULL)
		give_up(keeping);
	else if (keeping->record == NULL || !submit(keeping))
		add_orphan(keeping);
}

void
keeping_sweep(struct relay *relay)
{
	struct keeping *keeping = relay->orphans;
	struct keeping *next;

	relay->orphans = NULL;
	for (; keeping != NULL; keeping = next) {
		next = keeping->next;
		retry_orphan(keeping);
	}
}

void
keeping_abandon(struct relay *relay)
{
	struct keeping *keeping;

	while (relay->orphans != NULL) {
		keeping = relay->orphans;
		relay->orphans = keeping->next;
		give_up(keeping);
	}
}
