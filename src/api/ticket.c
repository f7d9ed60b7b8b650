/*
 * ticket.c - the end of a request with an Idempotency-Key.
 *
 * The answer is made in any thread, the relay's and the journal's among them,
 * which may not wait for PostgreSQL.  So the request goes through a pool
 * between its answer and the sending of it.
 */
#include "api/ticket.h"

#include <string.h>
#include <strings.h>
#include <time.h>

#include "api/app.h"
#include "api/idempotency.h"
#include "api/later.h"
#include "api/routes.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/log.h"
#include "http/problem.h"

#define THREADS     4
#define TRY_US      2000000 /* while PostgreSQL does not take an answer */
#define PAUSE_NS    50000000
#define HEADERS_MAX 4096
#define NUMBER_SIZE 24

/* How a ticket is told of to PostgreSQL. */
struct wish {
	enum db_stmt stmt;
	const char *args[7];
	struct buf headers, body, status;
};

/* The headers that belong to an answer; the others are each request's own. */
static bool
belongs(const char *line)
{
	static const char *const names[] = {
		"X-Call-Id:", "X-Durable:", "Link:", "Location:"
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strncasecmp(line, names[i], strlen(names[i])) == 0)
			return true;
	}
	return false;
}

static void
pick_headers(const struct buf *from, struct buf *out)
{
	const char *line = buf_str(from);
	const char *end;

	for (; (end = strstr(line, "\r\n")) != NULL; line = end + 2) {
		if (belongs(line))
			buf_add(out, line, (size_t)(end + 2 - line));
	}
}

/* What is no answer to keep: the same request may be tried again. */
static bool
is_failure(const struct http_request *req)
{
	if (req->status < 200 || req->status >= 500 || req->status == 429 ||
	    req->status == 499)
		return true;
	if (req->streaming)
		return req->gone || req->fail.err != OK;
	return !buf_ok(&req->out) || !buf_ok(&req->out_headers);
}

/* "\x" and hex, as bytea is written; false: it is not kept. */
static bool
body_text(const struct http_request *req, struct buf *out)
{
	const struct buf *body =
	    req->streaming ? &req->ticket->copy.body : &req->out;
	size_t max =
	    req->streaming ? IDEMPOTENCY_STREAM_MAX : IDEMPOTENCY_BODY_MAX;
	char *hex;

	if (!buf_ok(body) || body->len > max ||
	    (req->route->flags & ROUTE_NO_STORE) != 0)
		return false;
	hex = arena_alloc(req->arena, 2 * body->len + 3);
	if (hex == NULL)
		return false;
	hex[0] = '\\';
	hex[1] = 'x';
	codec_hex(buf_str(body), body->len, hex + 2);
	buf_add(out, hex, 2 * body->len + 2);
	return buf_ok(out);
}

static void
wish_to_free(const struct http_request *req, struct wish *wish)
{
	wish->stmt = DB_IDEMPOTENCY_FREE;
	wish->args[3] = req->in_doubt ? "true" : "false";
}

/* ERR_MEMORY: it cannot even be kept that it was done. */
static enum err
wish_to_keep(const struct http_request *req, struct wish *wish)
{
	wish->stmt = DB_IDEMPOTENCY_KEEP;
	pick_headers(req->streaming ? &req->ticket->copy.headers
				    : &req->out_headers,
	    &wish->headers);
	buf_addf(&wish->status, "%d", req->status);
	wish->args[3] = buf_str(&wish->status);
	wish->args[4] = req->out_type;
	wish->args[5] = buf_str(&wish->headers);
	if (body_text(req, &wish->body))
		wish->args[6] = buf_str(&wish->body);
	return buf_ok(&wish->headers) && buf_ok(&wish->status) ? OK
							       : ERR_MEMORY;
}

static enum err
wish_init(const struct http_request *req, struct wish *wish)
{
	*wish =
	    (struct wish){ .args = { req->who.user_text, req->ticket->key_hash,
			       req->ticket->attempt_text } };
	buf_init(&wish->headers, HEADERS_MAX);
	buf_init(&wish->status, NUMBER_SIZE);
	buf_init(&wish->body, 2 * (size_t)IDEMPOTENCY_BODY_MAX + 4);
	if (!is_failure(req))
		return wish_to_keep(req, wish);
	wish_to_free(req, wish);
	return OK;
}

static void
wish_fini(struct wish *wish)
{
	buf_fini(&wish->headers);
	buf_fini(&wish->status);
	buf_fini(&wish->body);
}

/* --- in a pool -------------------------------------------------------- */

static enum err
try_for_a_while(const struct http_request *req, const struct wish *wish)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	enum err err = db_query(req->db, wish->stmt, wish->args, NULL);

	while ((err == ERR_BUSY || err == ERR_TIMEOUT) &&
	       clock_mono_us() < req->ticket->until_us) {
		(void)nanosleep(&pause, NULL); /* signals are blocked */
		err = db_query(req->db, wish->stmt, wish->args, NULL);
	}
	return err;
}

/* Without its body, at least that the request was done. */
static enum err
leave_for_later(const struct http_request *req, struct wish *wish)
{
	enum err err = later_do(req->app->later, wish->stmt, wish->args);

	if (err == OK || wish->args[6] == NULL)
		return err;
	wish->args[6] = NULL;
	return later_do(req->app->later, wish->stmt, wish->args);
}

/* The work is done, so the answer goes out even if it cannot be kept now. */
static enum handled
conclude_and_answer(struct http_request *req)
{
	struct wish wish;
	enum err err = wish_init(req, &wish);

	if (err == OK)
		err = try_for_a_while(req, &wish);
	if (err == ERR_BUSY || err == ERR_TIMEOUT)
		err = leave_for_later(req, &wish);
	if (err != OK)
		log_warn("the answer to request %s could not be kept: %s",
		    req->id, err_name(err));
	wish_fini(&wish);
	return ANSWERED;
}

enum err
ticket_start(const struct config *config, struct pool **out)
{
	const struct pool_options options = { .config = config,
		.name = "idempotency",
		.threads = THREADS,
		/* as many requests as there can be: it is never full */
		.queue_max = (size_t)config->connections_max,
		.run = conclude_and_answer };

	return pool_start(&options, out);
}

static bool
before_send(struct http_request *req, void *arg)
{
	struct ticket *ticket = arg;

	ticket->until_us = clock_mono_us() + TRY_US;
	return pool_submit(req->app->idempotency, req) == OK;
}

void
ticket_keep_at_end(struct http_request *req, struct ticket *ticket)
{
	req->ticket = ticket;
	req->copy = &ticket->copy;
	req->before_send = before_send;
	req->before_send_arg = ticket;
}

/* --- with what was done ----------------------------------------------- */

/* ERR_CONFLICT: the key is somebody else's by now. */
static enum err
keep_within(struct http_request *req)
{
	struct db_rows *rows = NULL;
	struct wish wish;
	enum err err = wish_init(req, &wish);

	if (err == OK)
		err = db_query(req->db, wish.stmt, wish.args, &rows);
	if (err == OK && rows_count(rows) == 0)
		err = ERR_CONFLICT;
	rows_free(rows);
	wish_fini(&wish);
	return err;
}

/*
 * What was refused before it changed anything is an answer that is kept at the
 * end, as is a failure's freedom.  A commit whose end is not known is a failure:
 * if it was one, the key is done and stays so, and has the answer for who asks
 * again.
 */
void
ticket_commit(struct http_request *req)
{
	bool refused = req->status >= 300 || is_failure(req);
	enum err err = ERR_BUSY;

	if (!refused && !db_is_broken(req->db))
		err = keep_within(req);
	err = db_unwrap(req->db, err);
	if (err == OK)
		req->before_send = NULL;
	else if (!refused)
		(void)problem_of(req, err == ERR_CONFLICT ? ERR_BUSY : err);
}
