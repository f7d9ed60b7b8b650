/*
 * request.h - one HTTP request, whatever carried it.
 *
 * Knows nothing of FastCGI: a transport fills it and carries its answer.  The
 * request is owned by one thread at a time and handed over whole: a handler
 * either answers (returns ANSWERED) or parks (returns PARKED: another thread
 * owns it already and will call request_finish()).  After a hand-over the
 * handler must not touch the request again.
 */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/uuid.h"

struct app;          /* api/app.h: everything of the worker that handlers use */
struct ticket;       /* api/ticket.h */
struct problem_item; /* problem.c */
struct db;           /* db/db.h */
struct route;        /* api/routes.h */
struct http_transport;

enum http_method {
	HTTP_OTHER = 0, /* known to nobody: 405 */
	HTTP_GET,
	HTTP_HEAD,
	HTTP_POST,
	HTTP_PUT,
	HTTP_PATCH,
	HTTP_DELETE,
	HTTP_OPTIONS,
	HTTP_METHOD_COUNT
};

enum handled { ANSWERED, PARKED };

struct http_header {
	const char *name; /* lower case: "content-type" */
	const char *value;
};

/* Who is asking; filled by auth/identify.h. */
enum credential { CREDENTIAL_NONE = 0, CREDENTIAL_TOKEN, CREDENTIAL_KEY };

struct identity {
	enum credential credential;
	struct uuid user_id;
	struct uuid key_id;             /* zero without an API key */
	char user_text[UUID_TEXT_SIZE]; /* ready to bind */
	char key_text[UUID_TEXT_SIZE];  /* "" without a key */
	bool admin;                     /* users.role = 'admin' */
	int64_t token_iat;              /* of an access token, seconds */
};

struct http_param {
	const char *name;
	const char *value; /* decoded */
};

#define HTTP_PATH_PARAMS_MAX 4
#define HTTP_REQUEST_ID_SIZE 65

/* What went wrong, recorded once by who found it, for the log line only. */
struct fail {
	enum err err;
	char detail[200]; /* no secrets, no message text */
};

/* The faults of a body or query so far; see problem.h. */
struct problem_fields {
	struct http_request *req;
	struct problem_item *first; /* in the arena, in order */
	struct problem_item *last;
	const char *prefix; /* of every name, "messages[3]."; NULL: none */
	bool any;
};

/* What a stream sent, for who keeps it: its headers and its bytes, as far as
 * their buffers have room. */
struct http_copy {
	struct buf headers;
	struct buf body;
};

#define RESPONSE_HEADERS_MAX 8192 /* more is more than nginx takes */
#define RESPONSE_BODY_MAX    ((size_t)64 * 1024 * 1024) /* above: stream */

struct http_request {
	struct arena *arena;
	struct app *app;
	struct db *db; /* of the thread that handles it; NULL once parked */

	enum http_method method; /* HEAD arrives as HTTP_GET with head set */
	bool head;               /* body is dropped, completions never start */
	char method_text[16];
	const char *path;         /* decoded, one trailing slash removed; NULL
				   * when it or the query is broken */
	const char *broken_path;  /* then: how it begins, "/v1" or "/" */
	const char *query_text;   /* raw, "" without one; never logged */
	struct http_param *query; /* decoded pairs in order, [name] kept */
	size_t query_count;
	struct http_header *headers;
	size_t header_count;
	const char *content_type; /* lower case, parameters cut; "" without */
	const char *remote_addr;
	const char *scheme; /* "http" or "https" */
	const char *host;
	const char *body; /* NUL-terminated; "" without one */
	size_t body_len;

	struct http_param params[HTTP_PATH_PARAMS_MAX];
	size_t param_count;
	const struct route *route; /* NULL until matched */
	const char *route_pattern; /* of route, for the log line; may be NULL */
	struct identity who;
	char id[HTTP_REQUEST_ID_SIZE];
	int64_t started_us; /* clock_mono_us() */
	int64_t arrived_us; /* clock_wall_us() of the web server; 0 unknown */

	/* the answer, see response.h */
	int status;
	const char *out_type;   /* Content-Type; NULL: none is sent */
	struct buf out_headers; /* "Name: value\r\n" lines */
	struct buf out;         /* body */
	bool streaming;         /* headers are sent, stream_* is in use */
	bool gone;              /* the client left */
	struct fail fail;
	struct problem_fields bad;

	struct ticket *ticket; /* of an Idempotency-Key; NULL without one */
	struct uuid call_id;   /* of the call it makes; zero: a new one */
	bool in_doubt;         /* what failed may turn out to be done */

	/* for the log line, when a model was called */
	const char *log_model; /* in arena */
	int64_t log_tokens;
	char log_call[UUID_TEXT_SIZE];

	const struct http_transport *transport;
	void *transport_data;
	struct http_copy *copy; /* of a streamed answer; NULL: not wanted */
	/* Called once by request_finish(), before a whole answer is sent; true
	 * means that it took the request over and will finish it. */
	bool (*before_send)(struct http_request *req, void *arg);
	void *before_send_arg;
	void (*on_finish)(struct http_request *req, void *arg);
	void *on_finish_arg;
};

/*
 * What carries requests.  write takes bytes of an answer (first the headers,
 * made by response.c), which stay in place until the next flush or finish;
 * ERR_GONE when the peer left.  Both may block up to the transport's send
 * timeout, unless writable said that they do not.  Callers use response.h.
 */
struct http_transport {
	const char *name;
	enum err (*write)(struct http_request *req, const void *data,
	    size_t len);
	enum err (*flush)(struct http_request *req);
	bool (*writable)(struct http_request *req); /* 64 KiB fit at once */
	int (*fd)(struct http_request *req); /* to watch for RDHUP; -1 none */
	/* End the answer, give back what the transport holds and free req with
	 * request_free().  The last call for this req. */
	void (*finish)(struct http_request *req);
};

/* Built by a transport: arena, started_us and empty strings set, everything
 * else zero.  NULL: no memory. */
struct http_request *request_new(void);
void request_free(struct http_request *req);

/*
 * Fills in what a transport gives as CGI variables (RFC 3875 section 4.1):
 * REQUEST_METHOD, REQUEST_URI (or PATH_INFO and QUERY_STRING), CONTENT_TYPE,
 * REMOTE_ADDR, HTTP_*.  Checks and decodes: ERR_INPUT with req->fail set and
 * path NULL for a broken path or query (the caller still dispatches it; it is
 * answered 400).
 * A valid X-Request-Id is taken over, otherwise one is made.
 */
enum err request_from_cgi(struct http_request *req,
    const char *const *envp) MUST_CHECK;

/* CONTENT_LENGTH; 0 when absent.  ERR_INPUT unless it is a decimal number. */
enum err request_body_length(const char *const *envp, size_t *len) MUST_CHECK;

/* NULL when absent; first one when repeated.  name in lower case. */
const char *request_header(const struct http_request *req, const char *name);
/* Decoded query parameter; NULL when absent; first one when repeated. */
const char *request_query(const struct http_request *req, const char *name);
/* Path parameter by name ("id"); never NULL, "" when unknown. */
const char *request_param(const struct http_request *req, const char *name);
/* A path parameter as UUID.  ERR_MISSING (so: 404) when malformed; *text, if
 * not NULL, is the canonical form in the arena. */
enum err request_param_uuid(struct http_request *req, const char *name,
    struct uuid *id, const char **text) MUST_CHECK;

/* Records err and a printf text for the log line, unless one is there; returns
 * err, so that: return request_fail(req, ERR_SYSTEM, "..."). */
enum err request_fail(struct http_request *req, enum err err, const char *fmt,
    ...) PRINTF_LIKE(3, 4);

/* Text in the arena; NULL when memory is short. */
char *request_vprintf(struct http_request *req, const char *fmt, va_list args)
    PRINTF_LIKE(2, 0);

/*
 * Has before_send called, sends what is left of the answer, writes the log line, has on_finish called
 * and lets the transport finish and free.  Callable from any thread that owns
 * the request.
 */
void request_finish(struct http_request *req);

#endif /* HTTP_REQUEST_H */
