/*
 * transfer.h - HTTP requests to providers: the one module that knows libcurl.
 *
 * All transfers of a relay share one pool of connections, which are kept and
 * reused.  Except where said, everything runs in the relay's thread.
 */
#ifndef LLM_TRANSFER_H
#define LLM_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "llm/loop.h"

struct transfers; /* the pool */
struct transfer;  /* one request */

enum transfer_result {
	TRANSFER_OK = 0,
	/* These three: nothing of the request was sent. */
	TRANSFER_UNREACHABLE, /* no name, no route, refused, not allowed */
	TRANSFER_TIMEOUT,     /* no connection in time */
	TRANSFER_TLS,         /* no trusted TLS connection */
	TRANSFER_CUT,         /* the connection ended too early */
	TRANSFER_INVALID,     /* what came is not HTTP */
	TRANSFER_STOPPED,     /* bytes() said so */
	TRANSFER_MEMORY,
	TRANSFER_RESULT_COUNT
};

enum transfer_verdict {
	TRANSFER_TAKEN, /* go on */
	TRANSFER_PAUSE, /* nothing was taken; give it again after resume */
	TRANSFER_STOP   /* no more: ends as TRANSFER_STOPPED */
};

struct transfer_head {
	int status;               /* of the final answer, 200 and up */
	const char *content_type; /* borrowed; "" without */
	int64_t retry_after_s;    /* 0 without */
};

/*
 * Who hears of a transfer.  head and bytes are called from inside libcurl:
 * they must not start, free or resume any transfer.  done is not, and is the
 * place to free it.
 */
struct transfer_events {
	void (*head)(void *arg, const struct transfer_head *head);
	enum transfer_verdict (*bytes)(void *arg, const char *data, size_t len);
	void (*done)(void *arg, enum transfer_result result,
	    const char *detail);
};

struct transfers *transfers_new(struct loop *loop, int64_t connections_max);
void transfers_free(struct transfers *transfers);
/* When transfers_tick() is wanted next, monotonic; INT64_MAX: not. */
int64_t transfers_due(const struct transfers *transfers);
/* Timers that are due, then done() of every transfer that is over. */
void transfers_tick(struct transfers *transfers);
/* done() of every transfer that is over. */
void transfers_reap(struct transfers *transfers);

struct transfer_spec {
	const char *url;
	const char *const *headers; /* NULL-terminated; copied */
	const char *body;           /* borrowed until transfer_free() */
	size_t body_len;
	int64_t connect_ms;
	bool stream;      /* small reads, little memory */
	bool allow_local; /* http, and addresses that are not public */
	const struct transfer_events *events;
	void *arg;
};

/* Prepares a request; any thread, before it is handed to the relay's.
 * ERR_MEMORY; ERR_INPUT for a header with characters that none may have. */
enum err transfer_new(const struct transfer_spec *spec,
    struct transfer **out) MUST_CHECK;
enum err transfer_start(struct transfers *transfers,
    struct transfer *transfer) MUST_CHECK;
/* Goes on after TRANSFER_PAUSE; bytes() may be called before it returns. */
void transfer_resume(struct transfer *transfer);
/* Also ends it when it is under way, by closing its connection.  NULL is
 * accepted. */
void transfer_free(struct transfer *transfer);

/*
 * Checks a base URL by the parser that will be used on it: http or https, a
 * host, no user, query, fragment or control character.  Any thread; ERR_INPUT,
 * ERR_MEMORY.  Strings in arena.
 */
struct transfer_url {
	bool https;
	const char *host; /* IPv6 in brackets */
	int port;
};
enum err transfer_url_parse(struct arena *arena, const char *url,
    struct transfer_url *out) MUST_CHECK;

/* "libcurl/7.88.1 OpenSSL/..." for `minuted version`. */
const char *transfer_library_version(void);

#endif /* LLM_TRANSFER_H */
