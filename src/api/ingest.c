/*
 * ingest.c - records that clients send, on their way to the journal.
 *
 * The hot path: nothing is allocated for faults before there is one, and no
 * thread waits for a commit.  After the hand-over the request belongs to the
 * journal thread, which answers it.
 */
#include "api/ingest.h"

#include <string.h>

#include "api/app.h"
#include "api/dispatch.h"
#include "api/logfields.h"
#include "http/body.h"
#include "http/problem.h"
#include "http/response.h"
#include "journal/record.h"
#include "json/read.h"

#define NDJSON     "application/x-ndjson"
#define PREFIX_MAX 64 /* "logs[999]." */

/* A thousand records with some metadata each. */
static const struct gate_limits batch_limits = {
	.depth = 64,
	.keys = 200000,
	.values = 400000,
};

/* logfields_event() or logfields_llm(). */
typedef enum err (*make_fn)(struct http_request *req,
    const struct jsonr *object, struct record **out);

/* --- who -------------------------------------------------------------- */

/* The key of body, NULL without one, unless a header said who. */
static enum err
who_or_reply(struct http_request *req, const struct jsonr *body)
{
	const char *key;
	enum err err = ERR_AUTH;

	if (req->who.credential != CREDENTIAL_NONE)
		return OK;
	if (jsonr_string(jsonr_get(body, "api_key"), &key, NULL) == OK)
		err = identify_key(&req->app->auth, req, key);
	if (err == ERR_AUTH)
		(void)problem_reply(req, err,
		    "a valid API key is needed, in a header or as api_key");
	else if (err != OK)
		(void)problem_of(req, err);
	else if (!dispatch_known_or_reply(req))
		err = ERR_LIMIT;
	return err;
}

/* Without a header and without a body there is nothing to be read. */
static bool
can_say_who_or_reply(struct http_request *req)
{
	return req->body_len > 0 || who_or_reply(req, NULL) == OK;
}

/* --- answers ---------------------------------------------------------- */

static enum handled
refuse(struct http_request *req, enum err err)
{
	if (err == ERR_INPUT)
		return problem_fields_reply(problem_fields(req));
	return problem_of(req, err);
}

/* False: it is not kept, and the client was told. */
static bool
kept_or_reply(struct http_request *req, enum durable how)
{
	if (how == DURABLE_NONE) {
		(void)problem_reply(req, ERR_BUSY,
		    "this could not be kept: send it again");
		return false;
	}
	response_header(req, "X-Durable", how == DURABLE_DB ? "db" : "spool");
	(void)response_json(req, 201);
	return true;
}

/* In a thread of the journal or that watches it. */
static void
answer_one(struct record *record, enum durable how)
{
	struct http_request *req = record->arg;
	char id[UUID_TEXT_SIZE];

	if (kept_or_reply(req, how)) {
		uuid_text(&record->id, id);
		buf_addf(&req->out, "{\"status\":\"success\",\"id\":\"%s\"}",
		    id);
	}
	request_finish(req);
}

struct batch {
	struct http_request *req;
	make_fn make;
	struct record *first;
	struct record **tail;
	size_t count; /* records read so far, also those at fault */
	struct buf prefix;
};

/* The same; of the last record, when all are kept. */
static void
answer_batch(struct record *record, enum durable how)
{
	const struct batch *batch = record->arg;
	struct http_request *req = batch->req;

	if (kept_or_reply(req, how))
		buf_addf(&req->out, "{\"status\":\"success\",\"count\":%zu}",
		    batch->count);
	request_finish(req);
}

/* --- one -------------------------------------------------------------- */

/* A place is left to the records of calls that are under way. */
static enum err
submit(struct http_request *req, struct record *first, size_t count)
{
	struct journal *journal = req->app->journal;

	if (!journal_accepts(journal) || !journal_is_in_time(journal))
		return ERR_BUSY;
	req->db = NULL;
	return journal_submit_all(journal, first, count);
}

static enum handled
take_one(struct http_request *req, make_fn make)
{
	struct record *record;
	struct jsonr *body;
	enum err err;

	if (!can_say_who_or_reply(req) ||
	    body_object_or_reply(req, &body) != OK ||
	    who_or_reply(req, body) != OK)
		return ANSWERED;
	err = make(req, body, &record);
	if (err != OK)
		return refuse(req, err);
	record->done = answer_one;
	record->arg = req;
	record->hurried = true;
	err = submit(req, record, 1);
	if (err == OK)
		return PARKED;
	record_free(record);
	return refuse(req, err);
}

enum handled
ingest_event(struct http_request *req)
{
	return take_one(req, logfields_event);
}

enum handled
ingest_llm(struct http_request *req)
{
	return take_one(req, logfields_llm);
}

/* --- batches ---------------------------------------------------------- */

static void
item_fault(struct batch *batch, const char *what)
{
	const char *name =
	    arena_printf(batch->req->arena, "logs[%zu]", batch->count);

	problem_field(problem_fields(batch->req), name == NULL ? "logs" : name,
	    "%s", what);
}

/* One more of the batch; only OK and what is nobody's fault come back. */
static enum err
add_item(struct batch *batch, const struct jsonr *item)
{
	struct problem_fields *bad = problem_fields(batch->req);
	struct record *record = NULL;
	enum err err = ERR_INPUT;

	if (jsonr_kind(item) == JSONR_OBJECT) {
		buf_reset(&batch->prefix);
		buf_addf(&batch->prefix, "logs[%zu].", batch->count);
		bad->prefix = buf_str(&batch->prefix);
		err = batch->make(batch->req, item, &record);
		bad->prefix = NULL;
	} else {
		item_fault(batch, "must be an object");
	}
	batch->count++;
	if (err != OK)
		return err == ERR_INPUT ? OK : err;
	*batch->tail = record;
	batch->tail = &record->next;
	return OK;
}

static void
count_fault(struct batch *batch)
{
	problem_field(problem_fields(batch->req), "logs",
	    "must have 1 to %d records", INGEST_BATCH_MAX);
}

static enum err
read_array(struct batch *batch, const struct jsonr *body)
{
	const struct jsonr *logs = jsonr_get(body, "logs");
	size_t count = jsonr_count(logs);
	enum err err = OK;

	if (jsonr_kind(logs) != JSONR_ARRAY || count == 0 ||
	    count > INGEST_BATCH_MAX) {
		count_fault(batch);
		return OK;
	}
	for (size_t i = 0; i < count && err == OK; i++)
		err = add_item(batch, jsonr_at(logs, i));
	return err;
}

/* Its memory is given back at once: many small lines make many values. */
static enum err
read_line(struct batch *batch, const char *line, size_t len)
{
	struct arena *arena = arena_new();
	struct gate_result why;
	struct jsonr *item;
	enum err err;

	if (arena == NULL)
		return ERR_MEMORY;
	err = jsonr_parse(arena, line, len, &item, &why);
	if (err == OK) {
		err = add_item(batch, item);
	} else if (err == ERR_INPUT) {
		item_fault(batch, gate_fault_text(why.fault));
		batch->count++;
		err = OK;
	}
	arena_free(arena);
	return err;
}

static bool
is_space(char byte)
{
	return byte == ' ' || byte == '\t' || byte == '\r';
}

static bool
is_blank(const char *line, size_t len)
{
	while (len > 0 && is_space(line[len - 1]))
		len--;
	return len == 0;
}

static enum err
read_lines(struct batch *batch)
{
	const char *at = batch->req->body;
	const char *end = at + batch->req->body_len;
	enum err err = OK;

	while (at < end && err == OK && batch->count <= INGEST_BATCH_MAX) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		size_t len = (size_t)((stop == NULL ? end : stop) - at);

		if (!is_blank(at, len))
			err = read_line(batch, at, len);
		at += len + 1;
	}
	if (batch->count == 0 || batch->count > INGEST_BATCH_MAX)
		count_fault(batch);
	return err;
}

/* OK, ERR_INPUT with faults noted, ERR_GONE when the answer is made already. */
static enum err
read_batch(struct batch *batch)
{
	struct http_request *req = batch->req;
	struct jsonr *body = NULL;
	enum err err;

	if (!can_say_who_or_reply(req))
		return ERR_GONE;
	if (strcmp(req->content_type, NDJSON) != 0 &&
	    body_object_within_or_reply(req, &batch_limits, &body) != OK)
		return ERR_GONE;
	if (who_or_reply(req, body) != OK)
		return ERR_GONE;
	err = body == NULL ? read_lines(batch) : read_array(batch, body);
	if (err == OK && problem_fields_any(problem_fields(req)))
		err = ERR_INPUT;
	return err;
}

static void
free_records(struct record *record)
{
	while (record != NULL) {
		struct record *next = record->next;

		record_free(record);
		record = next;
	}
}

static void
set_done(struct batch *batch)
{
	for (struct record *r = batch->first; r != NULL; r = r->next) {
		if (r->next == NULL) {
			r->done = answer_batch;
			r->arg = batch;
			r->hurried = true;
		}
	}
}

static enum handled
take_batch(struct http_request *req, make_fn make)
{
	struct batch *batch = arena_alloc(req->arena, sizeof(*batch));
	enum err err;

	if (batch == NULL)
		return problem_of(req, ERR_MEMORY);
	batch->req = req;
	batch->make = make;
	batch->tail = &batch->first;
	buf_init(&batch->prefix, PREFIX_MAX);
	err = read_batch(batch);
	buf_fini(&batch->prefix);
	if (err == OK) {
		set_done(batch);
		err = submit(req, batch->first, batch->count);
	}
	if (err == OK)
		return PARKED;
	free_records(batch->first);
	return err == ERR_GONE ? ANSWERED : refuse(req, err);
}

enum handled
ingest_event_batch(struct http_request *req)
{
	return take_batch(req, logfields_event);
}

enum handled
ingest_llm_batch(struct http_request *req)
{
	return take_batch(req, logfields_llm);
}
