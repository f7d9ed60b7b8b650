/*
 * record.h - what the journal writes: one record, ready for COPY.
 *
 * A record is serialised once, by who makes it, as lines of COPY text format;
 * the journal only concatenates them.  Column order is that of the staging
 * tables in sql/ (journal_calls, journal_events).
 */
#ifndef JOURNAL_RECORD_H
#define JOURNAL_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/uuid.h"

enum record_kind {
	RECORD_CALL = 1,  /* a call in any state, or an ingested LLM log */
	RECORD_EVENT      /* an event log */
};

enum durable {
	DURABLE_DB,    /* committed in PostgreSQL */
	DURABLE_SPOOL, /* fsynced in the local spool */
	DURABLE_NONE   /* neither: the record is lost unless tried again */
};

struct record {
	struct record *next;  /* the journal's queue */
	enum record_kind kind;
	struct uuid id;
	struct uuid user_id;
	char *line;           /* one COPY line with its \n; owned, malloc */
	size_t len;
	int64_t queued_us;
	/* Called once, by the journal thread, after the commit; may hand the
	 * request on or answer it.  The record is freed by the journal after. */
	void (*done)(struct record *record, enum durable how);
	void *arg;
};

/* calls.status */
#define CALL_STATUS_RUNNING "running"
#define CALL_STATUS_COMPLETED "completed"
#define CALL_STATUS_FAILED "failed"
#define CALL_STATUS_CANCELLED "cancelled"
#define CALL_STATUS_INTERRUPTED "interrupted"

/* A row of calls with its texts.  NULL and negative numbers are SQL null. */
struct call_row {
	struct uuid id, user_id;
	const char *key_id;       /* UUID text or NULL */
	const char *kind;         /* "chat.completion", "playground",
	                             "question", "prompt", "chat", "ingest" */
	const char *provider, *model, *upstream_model;
	const char *status;
	int64_t prompt_tokens, completion_tokens, cached_tokens,
	    reasoning_tokens;
	bool estimated;           /* the tokens are our estimate */
	int64_t cost_pico;        /* pico-dollars */
	int64_t latency_us, first_token_us;
	int64_t started_us, finished_us; /* wall clock */
	int64_t http_status;      /* the provider's */
	const char *error;        /* code, e.g. "upstream_timeout" */
	const char *end_user, *environment, *source;
	const char *chat_id, *session_id; /* UUID text or NULL */
	const char *request_id;
	const char *metadata;     /* JSON text or NULL */
	const char *request_text, *response_text; /* to call_texts */
	bool stream;
};

struct event_row {
	struct uuid id, user_id;
	const char *key_id;
	const char *subject;   /* the client's user_id field */
	const char *level, *message, *metadata;
	int64_t logged_us;
};

/* New records, owned by the caller until journal_submit().  ERR_MEMORY. */
enum err record_call(const struct call_row *row, struct record **out)
    MUST_CHECK;
enum err record_event(const struct event_row *row, struct record **out)
    MUST_CHECK;
void record_free(struct record *record);

#endif /* JOURNAL_RECORD_H */
