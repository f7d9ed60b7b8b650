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
#include "base/clock.h"
#include "http/body.h"
#include "http/check.h"
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

static const char *const levels[] = { "info", "warning", "error", "debug",
	NULL };

/* What both kinds of log have. */
struct entry {
	struct uuid id;
	bool has_id;
	int64_t at_us;
	const char *user;
	const char *metadata;
};

/*
 * Reads a record of one kind from object.  ERR_INPUT when anything of the
 * request is at fault so far; it goes on reading then, to name every fault.
 */
typedef enum err (*make_fn)(struct http_request *req,
    const struct jsonr *object, struct record **out);

/* --- fields ----------------------------------------------------------- */

/* Clients also send their numeric ids; these keep their text. */
static void
read_user(struct problem_fields *bad, const struct jsonr *object,
    const char **out)
{
	const struct jsonr *value = jsonr_get(object, "user_id");

	if (jsonr_kind(value) == JSONR_NUMBER)
		*out = jsonr_text(value);
	else
		body_string(bad, object, "user_id", REQUIRED, 1,
		    INGEST_USER_MAX, out);
}

static void
read_id(struct problem_fields *bad, const struct jsonr *object,
    struct entry *entry)
{
	const char *text = NULL;

	body_string(bad, object, "id", OPTIONAL, 0, INGEST_TEXT_MAX, &text);
	if (text == NULL)
		return;
	entry->has_id = uuid_parse(text, &entry->id) == OK;
	if (!entry->has_id)
		problem_field(bad, "id", "must be a UUID");
}

static void
read_time(struct problem_fields *bad, const struct jsonr *object, int64_t *out)
{
	const char *text = NULL;
	int64_t wall_us;

	body_string(bad, object, "timestamp", OPTIONAL, 0, INGEST_TEXT_MAX,
	    &text);
	if (text == NULL)
		return;
	if (clock_parse(text, &wall_us) == OK && wall_us > 0)
		*out = wall_us;
	else
		problem_field(bad, "timestamp",
		    "must be a time since 1970 like 2026-01-31T23:59:59Z");
}

static void
read_entry(struct problem_fields *bad, const struct jsonr *object,
    struct entry *entry)
{
	*entry = (struct entry){ .at_us = clock_wall_us() };
	read_user(bad, object, &entry->user);
	read_id(bad, object, entry);
	read_time(bad, object, &entry->at_us);
	body_any(bad, object, "metadata", OPTIONAL, INGEST_METADATA_MAX,
	    &entry->metadata);
}

/* The end of reading: an id for what is to be kept. */
static enum err
settle(struct problem_fields *bad, struct entry *entry)
{
	if (problem_fields_any(bad))
		return ERR_INPUT;
	if (entry->user == NULL)
		return ERR_MEMORY;
	return entry->has_id ? OK : uuid_make(&entry->id);
}

static enum err
make_event(struct http_request *req, const struct jsonr *object,
    struct record **out)
{
	struct problem_fields *bad = problem_fields(req);
	const char *level = levels[0];
	const char *message = NULL;
	struct entry entry;
	enum err err;

	read_entry(bad, object, &entry);
	body_string(bad, object, "message", REQUIRED, 1, INGEST_MESSAGE_MAX,
	    &message);
	body_word(bad, object, "level", OPTIONAL, levels, &level);
	err = settle(bad, &entry);
	if (err != OK)
		return err;
	return record_event(&(struct event_row){ .id = entry.id,
				.user_id = req->who.user_id,
				.key_id = req->who.key_text,
				.subject = entry.user,
				.level = level,
				.message = message,
				.metadata = entry.metadata,
				.logged_us = entry.at_us },
	    out);
}

static enum err
make_llm(struct http_request *req, const struct jsonr *object,
    struct record **out)
{
	struct problem_fields *bad = problem_fields(req);
	const char *source = NULL, *query = NULL, *response = NULL;
	struct entry entry;
	enum err err;

	read_entry(bad, object, &entry);
	body_string(bad, object, "source", REQUIRED, 1, INGEST_SOURCE_MAX,
	    &source);
	body_string(bad, object, "query", OPTIONAL, 0, INGEST_TEXT_MAX, &query);
	body_string(bad, object, "response", OPTIONAL, 0, INGEST_TEXT_MAX,
	    &response);
	err = settle(bad, &entry);
	if (err != OK)
		return err;
	return record_call(&(struct call_row){ .id = entry.id,
			       .user_id = req->who.user_id,
			       .key_id = req->who.key_text,
			       .kind = "ingest",
			       .status = CALL_STATUS_COMPLETED,
			       .prompt_tokens = -1,
			       .completion_tokens = -1,
			       .cached_tokens = -1,
			       .reasoning_tokens = -1,
			       .cost_pico = -1,
			       .latency_us = -1,
			       .first_token_us = -1,
			       .started_us = entry.at_us,
			       .finished_us = entry.at_us,
			       .end_user = entry.user,
			       .source = source,
			       .request_id = req->id,
			       .metadata = entry.metadata,
			       .request_text = query,
			       .response_text = response },
	    out);
}

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

/* Journal thread. */
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

/* Journal thread; of the last record, when all are kept. */
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

	if (!journal_accepts(journal))
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
	err = submit(req, record, 1);
	if (err == OK)
		return PARKED;
	record_free(record);
	return refuse(req, err);
}

enum handled
ingest_event(struct http_request *req)
{
	return take_one(req, make_event);
}

enum handled
ingest_llm(struct http_request *req)
{
	return take_one(req, make_llm);
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
is_blank(const char *line, size_t len)
{
	while (len > 0 && memchr(" \t\r", line[len - 1], 3) != NULL)
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
	return take_batch(req, make_event);
}

enum handled
ingest_llm_batch(struct http_request *req)
{
	return take_batch(req, make_llm);
}
