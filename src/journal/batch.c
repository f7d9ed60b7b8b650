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
#include "journal/deltas.h"
#include "journal/fields.h"
#include "journal/late.h"

/* of one statement's lines; PostgreSQL takes a parameter of 1 GiB */
#define LINES_MAX ((size_t)512 * 1024 * 1024)
/* what is sent at once unless one record alone is larger */
#define LINES_GOOD ((size_t)16 * 1024 * 1024)
/* older than every call: only that of an id is meant */
#define NO_AGE_MS "1000000000000"

static const char copy_sql[] =
    "copy minuted.calls (user_id, id, key_id, kind, provider, model,"
    " upstream_model, status, stream, prompt_tokens, completion_tokens,"
    " cached_tokens, reasoning_tokens, estimated, cost_pico, latency_us,"
    " first_token_us, http_status, error, end_user, environment, source,"
    " chat_id, session_id, request_id, metadata, started_at, finished_at)"
    " from stdin;"
    "copy minuted.call_texts (user_id, id, request, response) from stdin;"
    "copy minuted.usage_deltas (" DELTAS_COLUMNS ") from stdin";

struct writer {
	struct db *db;
	struct buf lines;
	struct buf texts, counts; /* of calls that are copied */
	uint64_t *buried;
	const struct batch_aside *aside; /* NULL: none */
};

static const char *
kind_name(enum record_kind kind)
{
	return kind == RECORD_EVENT ? "event" : "call";
}

/* Nothing is said of the records: they are to be written again. */
static bool
is_passing(enum err err)
{
	return err == ERR_MEMORY || err == ERR_BUSY || err == ERR_TIMEOUT;
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

	if (err == OK || is_passing(err))
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

/* A call that is alone. */
static enum err
send_call(struct writer *w)
{
	const char *values[FIELD_COUNT];

	if (!fields_values(w->lines.data, w->lines.len, values))
		return db_query(w->db, DB_JOURNAL_CALLS,
		    (const char *const[]){ buf_str(&w->lines) }, NULL);
	return db_query(w->db, DB_JOURNAL_CALL, values, NULL);
}

static enum err
send_lines(struct writer *w, const struct record_view *records, size_t count)
{
	const char *args[1];

	buf_reset(&w->lines);
	for (size_t i = 0; i < count; i++)
		buf_add(&w->lines, records[i].line, records[i].len);
	if (!buf_ok(&w->lines))
		return ERR_MEMORY;
	if (records[0].kind == RECORD_CALL && count == 1)
		return send_call(w);
	args[0] = buf_str(&w->lines);
	return db_query(w->db,
	    records[0].kind == RECORD_EVENT ? DB_JOURNAL_EVENTS
					    : DB_JOURNAL_CALLS,
	    args, NULL);
}

static enum err
send_patiently(struct writer *w, const struct record_view *records,
    size_t count)
{
	enum err err = send_lines(w, records, count);

	if (err != OK && worth_again(w->db))
		err = send_lines(w, records, count);
	return err;
}

/* The call of a record that never comes, if its start is there, has ended.  What
 * fails here is done by the keeper, when the call is old. */
static void
end_running(struct writer *w, const struct record_view *record)
{
	char id[UUID_TEXT_SIZE], user[UUID_TEXT_SIZE];
	const char *args[] = { NO_AGE_MS, id, user };

	/* whose it is comes first, whatever is wrong with the rest */
	if (record->len < sizeof(user) ||
	    record->line[sizeof(user) - 1] != '\t')
		return;
	memcpy(user, record->line, sizeof(user) - 1);
	user[sizeof(user) - 1] = '\0';
	uuid_text(&record->id, id);
	if (db_query(w->db, DB_MAINTENANCE_ABANDONED, args, NULL) != OK)
		log_warn("call %s, whose end was refused, is running until it "
			 "is old",
		    id);
}

/* One that is there already, from before a timeout or a crash, counts no more. */
static enum err
keep_dead(struct writer *w, const char *const *args)
{
	struct db_rows *rows = NULL;
	enum err err = db_query(w->db, DB_JOURNAL_BURY, args, &rows);

	if (rows_count(rows) > 0) {
		(*w->buried)++;
		log_warn("a record was refused with %s and is in "
			 "minuted.dead_letters",
		    args[2]);
	}
	rows_free(rows);
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
	err = keep_dead(w, args);
	if (poisoned(w->db, err)) {
		args[3] = fault.sqlstate; /* it may be for the reason */
		err = keep_dead(w, args);
	}
	free(hex);
	return err;
}

static enum err
put_away(struct writer *w, const struct record_view *record)
{
	enum err err = bury(w, record);

	if (w->aside != NULL && poisoned(w->db, err)) {
		w->aside->keep(w->aside->arg, record);
		err = OK;
	}
	if (err == OK && record->kind == RECORD_CALL)
		end_running(w, record);
	return err;
}

/* A good record is refused while its month's partition is made, once. */
static enum err
write_alone(struct writer *w, const struct record_view *record)
{
	enum err err = send_patiently(w, record, 1);

	if (!poisoned(w->db, err))
		return err;
	return put_away(w, record);
}

/* Records of one kind.  A refused batch is halved until the culprits are
 * alone, so one costs about 2 log2(count) statements. */
static enum err
write_lines(struct writer *w, const struct record_view *records, size_t count)
{
	enum err err;

	err = send_patiently(w, records, count);
	if (!poisoned(w->db, err))
		return err;
	if (count == 1)
		return write_alone(w, records);
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

/* --- new calls -------------------------------------------------------- */

static void
add_texts(struct buf *texts, const struct field fields[FIELD_COUNT])
{
	const struct field *id = &fields[FIELD_ID];
	const struct field *request = &fields[FIELD_REQUEST];
	const struct field *response = &fields[FIELD_RESPONSE];
	const char *user = fields[FIELD_USER].text;

	if (field_is_null(request) && field_is_null(response))
		return;
	buf_add(texts, user, (size_t)(id->text + id->len + 1 - user));
	buf_add(texts, request->text,
	    (size_t)(response->text + response->len - request->text));
	buf_addc(texts, '\n');
}

/* One line becomes three; ERR_INPUT for one that is none. */
static enum err
add_copied(struct writer *w, const struct record_view *record,
    struct deltas *deltas)
{
	struct field fields[FIELD_COUNT];
	size_t len;

	if (!fields_split(record->line, record->len, fields))
		return ERR_INPUT;
	len = (size_t)(fields[FIELD_REQUEST].text - record->line);
	buf_add(&w->lines, record->line, len - 1);
	buf_addc(&w->lines, '\n');
	add_texts(&w->texts, fields);
	return deltas_add(deltas, fields);
}

static enum err
copy_calls(struct writer *w, const struct record_view *records, size_t count)
{
	struct deltas deltas;
	enum err err = OK;

	buf_reset(&w->lines);
	buf_reset(&w->texts);
	buf_reset(&w->counts);
	deltas_init(&deltas);
	for (size_t i = 0; i < count && err == OK; i++)
		err = add_copied(w, &records[i], &deltas);
	deltas_print(&deltas, &w->counts);
	deltas_fini(&deltas);
	if (err != OK)
		return err;
	if (!buf_ok(&w->lines) || !buf_ok(&w->texts) || !buf_ok(&w->counts))
		return ERR_MEMORY;
	return db_copy(w->db, copy_sql,
	    (const struct db_lines[]){ { w->lines.data, w->lines.len },
		{ w->texts.data, w->texts.len },
		{ w->counts.data, w->counts.len } },
	    3);
}

/* A new call that is alone: one round trip instead of four. */
static enum err
insert_call(struct writer *w, const struct record_view *record)
{
	const char *values[FIELD_COUNT];

	buf_reset(&w->lines);
	buf_add(&w->lines, record->line, record->len);
	if (!buf_ok(&w->lines))
		return ERR_MEMORY;
	if (!fields_values(w->lines.data, w->lines.len, values))
		return ERR_INPUT;
	return db_query(w->db, DB_JOURNAL_NEW, values, NULL);
}

/* One that is there already, or is refused, refuses all that came with it:
 * then they are written as others are. */
static enum err
write_new(struct writer *w, const struct record_view *records, size_t count)
{
	enum err err = OK;

	while (count > 0 && err == OK) {
		size_t n = fitting(records, count);

		err = n == 1 ? insert_call(w, records)
			     : copy_calls(w, records, n);
		if (err != OK && !is_passing(err))
			err = write_lines(w, records, n);
		records += n;
		count -= n;
	}
	return err;
}

/* --- all -------------------------------------------------------------- */

/* What is not the record's fault is PostgreSQL's: for the caller, away. */
static enum err
verdict(const struct db *db, enum err err)
{
	if (err == OK || is_passing(err))
		return err;
	log_error("PostgreSQL does not take the journal: %s %s",
	    db_fault(db)->sqlstate, db_fault(db)->message);
	return ERR_BUSY;
}

/* Copies the records of kind, new ones or others, in order, to out. */
static size_t
pick(const struct record_view *records, size_t count, enum record_kind kind,
    bool is_new, struct record_view *out)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		if (records[i].kind == kind && records[i].is_new == is_new)
			out[n++] = records[i];
	return n;
}

/* New calls first: one may be followed by its end. */
static enum err
write_all(struct writer *w, const struct record_view *records, size_t count,
    struct record_view *room)
{
	size_t picked = pick(records, count, RECORD_CALL, true, room);
	enum err err = write_new(w, room, picked);

	if (err == OK) {
		picked = pick(records, count, RECORD_CALL, false, room);
		err = write_kind(w, room, picked);
	}
	if (err == OK) {
		picked = pick(records, count, RECORD_EVENT, false, room);
		err = write_kind(w, room, picked);
	}
	return err;
}

enum err
batch_write_aside(struct db *db, const struct record_view *records,
    size_t count, uint64_t *buried, const struct batch_aside *aside)
{
	struct writer w = { .db = db, .aside = aside };
	struct record_view *room;
	enum err err;

	if (count == 0)
		return OK;
	w.buried = buried;
	room = calloc(count, sizeof(*room));
	if (room == NULL)
		return ERR_MEMORY;
	buf_init(&w.lines, LINES_MAX);
	buf_init(&w.texts, LINES_MAX);
	buf_init(&w.counts, LINES_MAX);
	err = late_note(db, records, count);
	if (err == OK)
		err = write_all(&w, records, count, room);
	buf_fini(&w.lines);
	buf_fini(&w.texts);
	buf_fini(&w.counts);
	free(room);
	return verdict(db, err);
}

enum err
batch_write(struct db *db, const struct record_view *records, size_t count,
    uint64_t *buried)
{
	return batch_write_aside(db, records, count, buried, NULL);
}

enum err
batch_warm(struct db *db)
{
	static const char *const nothing[1] = { "" };
	static const char *const nulls[FIELD_COUNT];
	enum err err;

	err = db_query(db, DB_JOURNAL_CALLS, nothing, NULL);
	if (err == OK)
		err = db_query(db, DB_JOURNAL_NEW, nulls, NULL);
	if (err == OK)
		err = db_query(db, DB_JOURNAL_CALL, nulls, NULL);
	if (err == OK)
		err = db_query(db, DB_JOURNAL_EVENTS, nothing, NULL);
	return err;
}
