/*
 * batch.c - records into PostgreSQL, in as few statements as can be.
 */
#include "journal/batch.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/codec.h"
#include "base/log.h"

/* of one statement's lines; PostgreSQL takes a parameter of 1 GiB */
#define LINES_MAX ((size_t)512 * 1024 * 1024)
/* what is sent at once unless one record alone is larger */
#define LINES_GOOD ((size_t)16 * 1024 * 1024)

struct writer {
	struct db *db;
	struct buf lines;
	uint64_t *buried;
};

static const char *
kind_name(enum record_kind kind)
{
	return kind == RECORD_EVENT ? "event" : "call";
}

static enum db_stmt
kind_stmt(enum record_kind kind, size_t count)
{
	if (kind == RECORD_EVENT)
		return DB_JOURNAL_EVENTS;
	return count == 1 ? DB_JOURNAL_CALL : DB_JOURNAL_CALLS;
}

/*
 * Is the content of a record to blame?  Classes 22 (data), 23 (constraints),
 * 54 (program limits), P0 (raised by a trigger).
 */
static bool
poisoned(const struct db *db, enum err err)
{
	static const char classes[][3] = { "22", "23", "54", "P0" };
	const char *state = db_fault(db)->sqlstate;

	if (err == ERR_MEMORY || err == ERR_BUSY || err == ERR_TIMEOUT)
		return false;
	for (size_t i = 0; i < sizeof(classes) / sizeof(*classes); i++)
		if (strncmp(state, classes[i], 2) == 0)
			return true;
	return false;
}

/* A deadlock, a serialization failure: once more may do. */
static bool
worth_again(const struct db *db)
{
	return strncmp(db_fault(db)->sqlstate, "40", 2) == 0;
}

static enum err
send_lines(struct writer *w, const struct record_view *records, size_t count)
{
	enum db_stmt stmt = kind_stmt(records[0].kind, count);
	const char *args[1];
	enum err err;

	buf_reset(&w->lines);
	for (size_t i = 0; i < count; i++)
		buf_add(&w->lines, records[i].line, records[i].len);
	if (!buf_ok(&w->lines))
		return ERR_MEMORY;
	args[0] = buf_str(&w->lines);
	err = db_query(w->db, stmt, args, NULL);
	if (err != OK && worth_again(w->db))
		err = db_query(w->db, stmt, args, NULL);
	return err;
}

static enum err
bury(struct writer *w, const struct record_view *record)
{
	struct db_fault fault = *db_fault(w->db);
	const char *args[4] = { kind_name(record->kind), NULL, fault.sqlstate,
		fault.message };
	char *hex;
	enum err err;

	hex = malloc(2 * record->len + 1);
	if (hex == NULL)
		return ERR_MEMORY;
	codec_hex(record->line, record->len, hex);
	args[1] = hex;
	err = db_query(w->db, DB_JOURNAL_BURY, args, NULL);
	free(hex);
	if (err == OK) {
		(*w->buried)++;
		log_warn("a record was refused with %s and is in "
			 "minuted.dead_letters",
		    fault.sqlstate);
	}
	return err;
}

/* Records of one kind.  A refused batch is halved until the culprits are
 * alone, so one costs about 2 log2(count) statements. */
static enum err
write_lines(struct writer *w, const struct record_view *records, size_t count)
{
	enum err err;

	err = send_lines(w, records, count);
	if (err == OK || !poisoned(w->db, err))
		return err;
	if (count == 1)
		return bury(w, records);
	err = write_lines(w, records, count / 2);
	if (err != OK)
		return err;
	return write_lines(w, records + count / 2, count - count / 2);
}

/* How many of the first records fit into one statement; at least one. */
static size_t
fitting(const struct record_view *records, size_t count)
{
	size_t bytes = 0;
	size_t n = 0;

	while (n < count && (n == 0 || bytes + records[n].len <= LINES_GOOD))
		bytes += records[n++].len;
	return n;
}

static enum err
write_kind(struct writer *w, const struct record_view *records, size_t count)
{
	enum err err = OK;

	while (count > 0 && err == OK) {
		size_t n = fitting(records, count);

		err = write_lines(w, records, n);
		records += n;
		count -= n;
	}
	return err;
}

/* What is not the record's fault is PostgreSQL's: for the caller, away. */
static enum err
verdict(const struct db *db, enum err err)
{
	if (err == OK || err == ERR_MEMORY || err == ERR_BUSY ||
	    err == ERR_TIMEOUT)
		return err;
	log_error("PostgreSQL does not take the journal: %s %s",
	    db_fault(db)->sqlstate, db_fault(db)->message);
	return ERR_BUSY;
}

/* Copies the records of kind, in order, to out. */
static size_t
pick(const struct record_view *records, size_t count, enum record_kind kind,
    struct record_view *out)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		if (records[i].kind == kind)
			out[n++] = records[i];
	return n;
}

enum err
batch_write(struct db *db, const struct record_view *records, size_t count,
    uint64_t *buried)
{
	struct writer w = { .db = db };
	struct record_view *sorted;
	size_t calls, events;
	enum err err;

	if (count == 0)
		return OK;
	sorted = calloc(count, sizeof(*sorted));
	if (sorted == NULL)
		return ERR_MEMORY;
	w.buried = buried;
	buf_init(&w.lines, LINES_MAX);
	calls = pick(records, count, RECORD_CALL, sorted);
	events = pick(records, count, RECORD_EVENT, sorted + calls);
	err = write_kind(&w, sorted, calls);
	if (err == OK)
		err = write_kind(&w, sorted + calls, events);
	buf_fini(&w.lines);
	free(sorted);
	return verdict(db, err);
}

enum err
batch_warm(struct db *db)
{
	static const char *const nothing[1] = { "" };
	enum err err;

	err = db_query(db, DB_JOURNAL_CALLS, nothing, NULL);
	if (err == OK)
		err = db_query(db, DB_JOURNAL_CALL, nothing, NULL);
	if (err == OK)
		err = db_query(db, DB_JOURNAL_EVENTS, nothing, NULL);
	return err;
}
