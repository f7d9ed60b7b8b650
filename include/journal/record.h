/*
 * record.h - what the journal writes: one record, as one line of text.
 *
 * A record is serialised once, by who makes it, as a line of COPY text format;
 * the journal only concatenates lines.  A call's line has the columns of
 * minuted.calls in order, then the texts of its request and response; an
 * event's has those of minuted.events.  Times are ISO 8601.
 *
 * Of COPY's escapes only \\ and octal (\011 \012 \015) are used, and \N for
 * null: decode(text, 'escape') of PostgreSQL reads the same, so that a line
 * can also be a parameter.  Bytes that are not UTF-8 (a provider's, an answer
 * cut in the middle of a character) become U+FFFD: a record is never refused
 * for them.
 *
 * RECORD_LINES_VERSION is the version of all this; the spool keeps it.
 */
#ifndef JOURNAL_RECORD_H
#define JOURNAL_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/uuid.h"

#define RECORD_LINES_VERSION 1
/* of a line, in bytes: a request and an answer at their ceilings */
#define RECORD_LINE_MAX ((size_t)64 * 1024 * 1024)

enum record_kind {
	RECORD_CALL = 1, /* a call in any state, or an ingested LLM log */
	RECORD_EVENT     /* an event log */
};

enum durable {
	DURABLE_DB,    /* committed in PostgreSQL */
	DURABLE_SPOOL, /* fsynced in the local spool */
	DURABLE_NONE   /* neither: the record is lost unless tried again */
};

struct record {
	struct record *next; /* the journal's queue */
	enum record_kind kind;
	struct uuid id;
	struct uuid user_id;
	char *line; /* one COPY line with its \n; owned, malloc */
	size_t len;
	int64_t queued_us;
	/* Called once, by the journal thread, after the commit; may hand the
	 * request on or answer it.  The record is freed by the journal after. */
	void (*done)(struct record *record, enum durable how);
	void *arg;
	bool more; /* the next one is of the same group; set by the journal */
	/* Somebody waits for done(): it says DURABLE_NONE after
	 * JOURNAL_WAIT_MS, by the thread of journal_watch().  The record and
	 * its group, of which it is the last, leave the queue then; those that
	 * are being written may be kept later. */
	bool hurried;
	/* Kept at the first try or not at all: done() says DURABLE_NONE at once
	 * when neither PostgreSQL nor the spool takes it. */
	bool at_once;
	/* The end of a call that was let in: SPOOL_MAX does not refuse it. */
	bool owed;
	/* No record of this call was ever submitted: it is written in a quicker
	 * way.  One that is there nevertheless is found out. */
	bool is_new;
};

/* A record as the database and the spool take it: borrowed. */
struct record_view {
	enum record_kind kind;
	struct uuid id;
	const char *line;
	size_t len;
	bool is_new; /* see struct record; never of an event */
	bool owed;   /* see struct record */
};

/* calls.status */
#define CALL_STATUS_RUNNING     "running"
#define CALL_STATUS_COMPLETED   "completed"
#define CALL_STATUS_FAILED      "failed"
#define CALL_STATUS_CANCELLED   "cancelled"
#define CALL_STATUS_INTERRUPTED "interrupted"

/* A row of calls with its texts.  NULL and negative numbers are SQL null, as
 * are a time or HTTP status of 0 and an id of "". */
struct call_row {
	struct uuid id, user_id;
	const char *key_id; /* UUID text or NULL */
	const char *kind;   /* "chat.completion", "playground",
	                             "question", "prompt", "chat", "ingest" */
	const char *provider, *model, *upstream_model;
	const char *status;
	int64_t prompt_tokens, completion_tokens, cached_tokens,
	    reasoning_tokens;
	bool estimated;    /* the tokens are our estimate */
	int64_t cost_pico; /* pico-dollars */
	/* Of a call that runs, for who has to end it; not in the line: the
	 * price of a token of the answer, and how many characters of it were
	 * generated. */
	int64_t answer_pico, answer_chars;
	int64_t latency_us, first_token_us;
	int64_t started_us, finished_us; /* wall clock */
	int64_t http_status;             /* the provider's */
	const char *error;               /* code, e.g. "upstream_timeout" */
	const char *end_user, *environment, *source;
	const char *chat_id, *session_id; /* UUID text or NULL */
	const char *request_id;
	const char *metadata;                     /* JSON text or NULL */
	const char *request_text, *response_text; /* to call_texts */
	bool stream;
};

struct event_row {
	struct uuid id, user_id;
	const char *key_id;
	const char *subject; /* the client's user_id field */
	const char *level, *message, *metadata;
	int64_t logged_us;
};

/* New records, owned by the caller until journal_submit().  ERR_MEMORY. */
enum err record_call(const struct call_row *row,
    struct record **out) MUST_CHECK;
enum err record_event(const struct event_row *row,
    struct record **out) MUST_CHECK;
void record_free(struct record *record);

#endif /* JOURNAL_RECORD_H */
