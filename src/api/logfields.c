/*
 * logfields.c - an event log or an LLM log, from the JSON that a client sent.
 */
#include "api/logfields.h"

#include "api/idempotency.h"
#include "api/ingest.h"
#include "base/clock.h"
#include "http/body.h"
#include "http/problem.h"

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
	body_any(bad, object, "metadata", INGEST_METADATA_MAX,
	    &entry->metadata);
}

/* The end of reading: an id for what is to be kept. */
static enum err
settle(struct http_request *req, struct entry *entry)
{
	if (problem_fields_any(problem_fields(req)))
		return ERR_INPUT;
	if (entry->user == NULL)
		return ERR_MEMORY;
	return entry->has_id ? OK : idempotency_id(req, &entry->id);
}

enum err
logfields_event(struct http_request *req, const struct jsonr *object,
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
	err = settle(req, &entry);
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

enum err
logfields_llm(struct http_request *req, const struct jsonr *object,
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
	err = settle(req, &entry);
	if (err != OK)
		return err;
	err = record_call(&(struct call_row){ .id = entry.id,
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
	if (err == OK)
		(*out)->is_new = !entry.has_id && req->ticket == NULL;
	return err;
}
