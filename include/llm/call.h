/*
 * call.h - one model call of any family, and the client that waits for it.
 *
 * A handler makes an outlet (the client) and one or more calls, and starts
 * them: from then on the relay thread owns request, outlet and calls, and every
 * function of a sink runs in it.  All of it lives in the request's arena.
 *
 *   handler ──▶ outlet_new, call_new, relay_start ──▶ returns PARKED
 *   relay:  sink->begin? ─▶ sink->event* ─▶ record committed ─▶ sink->end
 *   sink:   writes to the outlet; the last call's end does outlet_finish
 *
 * The call's record is committed before sink->end(): what end writes (the
 * terminator, the JSON answer) is therefore covered by P1.
 */
#ifndef LLM_CALL_H
#define LLM_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/uuid.h"
#include "http/request.h"
#include "journal/record.h"
#include "llm/catalog.h"

struct jsonr;
struct relay;
struct outlet;
struct call;

#define CALL_TEXT_MAX (4 * 1024 * 1024)  /* bytes of answer kept for the log */
#define CALL_BODY_MAX (16 * 1024 * 1024) /* bytes of a whole answer; S-43 */
#define CALL_N_MAX    128                /* choices of a request */

enum call_end {
	CALL_OPEN = 0, /* not over */
	CALL_COMPLETED,
	CALL_FAILED,   /* error, error_code and error_status say how */
	CALL_CANCELLED /* the client left */
};

struct call_usage { /* tokens; -1 unknown */
	int64_t prompt, completion, cached, reasoning;
	bool estimated;
};

struct call_event {
	const char *raw; /* the provider's bytes of this event */
	size_t raw_len;
	const char *data; /* its JSON, NUL-terminated; "[DONE]" when done */
	size_t data_len;
	const char *text; /* what it adds to choice 0's text; "" if nothing */
	size_t text_len;
	bool tool;       /* it adds to a tool call */
	bool finished;   /* every choice has had its finish_reason */
	bool usage_only; /* the usage chunk that we asked for */
	bool done;       /* the terminator: hold it back until sink->end */
};

struct call_sink {
	/* Any may be NULL.  begin: the provider answered 2xx, and either its
	 * first event is here or it lets us wait for that. */
	void (*begin)(struct call *call);
	void (*event)(struct call *call, const struct call_event *event);
	void (*end)(struct call *call); /* required; once */
};

struct call {
	struct uuid id;
	char id_text[UUID_TEXT_SIZE];
	struct outlet *outlet;
	const struct call_sink *sink;
	void *sink_data;

	/* from the handler; borrowed from the request's arena */
	const char *kind; /* as in struct call_row */
	const struct catalog_target *target;
	struct snapshot *snapshot; /* a reference of this call's own, given
	                              back when the request is freed; NULL
	                              when another call of it holds one */
	bool stream;               /* ask the provider for a stream */
	bool usage_asked;          /* the client itself asked include_usage */
	const char *request_json;  /* OpenAI chat completion request as the
	                              client sent it, NUL-terminated; the
	                              provider's build function sets model,
	                              stream and stream_options on a copy */
	size_t request_len;
	int64_t answer_max; /* tokens of an answer, which build sends where
	                       the request names no ceiling; 0: none */
	const struct jsonr *request; /* the same parsed, when the handler has
	                                it; not used after relay_start() */
	const char *request_text;    /* what is logged as the request; NULL:
	                              request_json */
	const char *end_user, *environment, *source, *metadata;
	const char *chat_id, *session_id;

	/* the result */
	enum call_end end;
	enum err error;
	const char *error_code; /* slug: "upstream_timeout"; static */
	char error_detail[200]; /* for the client; no secrets */
	int error_status;       /* HTTP status to answer with */
	int retry_after;        /* seconds, when the provider said so */
	int upstream_status;    /* 0 when none came */
	struct buf body;        /* whole answer, when not a stream */
	struct buf text;        /* text of choice 0 so far; CALL_TEXT_MAX
	                              bytes of it are kept, then metadata
	                              gets "response_truncated":true */
	struct call_usage usage;
	int64_t choices; /* that were asked for; 0: only the terminator tells
	                    that all are finished */
	int64_t choices_finished;
	bool is_finished[CALL_N_MAX];
	int64_t generated;       /* characters so far, of every choice: text,
	                              reasoning, calls of tools */
	int64_t prompt_estimate; /* tokens; -1 unknown */
	int64_t cost_pico;       /* -1 unknown */
	int64_t started_us, ended_us, first_token_us; /* monotonic; 0 none */
	int64_t started_wall_us;
	enum durable durable; /* how the record was kept */

	/* Called by the relay once it is known what the call used, before its
	 * record is on its way, and once that is durable, before sink->end();
	 * NULL: nobody has to know. */
	void (*ended)(struct call *call);
	void (*settle)(struct call *call);
	void *settle_data;

	struct progress *progress; /* the relay's own state */
	struct call *next;         /* calls of one outlet */
};

/*
 * A call for req's user in the request's arena, with a new id, sink and
 * nothing else set.  NULL without memory or randomness.
 */
struct call *call_new(struct http_request *req, const struct call_sink *sink,
    void *sink_data);

/*
 * The client of req.  NULL when memory is short.  Request thread.
 */
struct outlet *outlet_new(struct http_request *req);
struct http_request *outlet_request(struct outlet *outlet);

/* call's request parsed: the handler's, or parsed here into arena. */
enum err call_request(const struct call *call, struct arena *arena,
    const struct jsonr **out) MUST_CHECK;

/* How many choices request asks for; 0 when that cannot be read. */
int64_t call_choices(const struct jsonr *request);

/* Relay thread only, from here on. */

/* Starts a streamed answer (stream_begin). */
void outlet_begin(struct outlet *outlet, int status, const char *content_type);
/* Queues bytes; they are written when the client can take them, in order.  Over
 * the ceiling (256 KiB) the outlet's transfers pause. */
void outlet_write(struct outlet *outlet, const void *data, size_t len);
bool outlet_begun(const struct outlet *outlet);
/* Writes what is queued, then request_finish(); request, outlet and calls are
 * gone after. */
void outlet_finish(struct outlet *outlet);

/*
 * Hands outlet and its calls (linked by next) to the relay.  Nothing is taken
 * over unless OK: ERR_BUSY when STREAMS_MAX is reached, when the journal has no
 * place (P4), or while draining; ERR_INPUT for a request that the provider
 * cannot be sent; ERR_MEMORY; ERR_BUG.  The handler answers then
 * (llm_start_or_reply() in api/llm_common.h does all of it).
 */
enum err relay_start(struct relay *relay, struct outlet *outlet,
    struct call *calls) MUST_CHECK;

/* What goes into the log for the call as it stands now (row borrows from call;
 * texts are the text so far). */
void call_fill_row(const struct call *call, struct call_row *row);

/*
 * Makes call a failed one: code is a slug of the table in call.c, from which
 * come status and class; detail, for the client, may be NULL (the table's) and
 * is cut.  Keeps the first failure.
 */
void call_fail(struct call *call, const char *code, const char *detail);

/* Appends the OpenAI error object of a failed call: {"error":{...}}. */
void call_error_json(const struct call *call, struct buf *out);

/* The answer that a failed call's client gets, where nothing was sent yet:
 * status, code and detail from the table of upstream errors. */
enum handled call_problem(struct call *call);

#endif /* LLM_CALL_H */
