/*
 * idempotency.c - a POST that is sent again is done once.
 *
 * The answer is made in any thread, the relay's and the journal's among them,
 * which may not wait for PostgreSQL.  So the request goes through a pool
 * between its answer and the sending of it.
 */
#include "api/idempotency.h"

#include <string.h>
#include <strings.h>
#include <time.h>

#include "api/app.h"
#include "api/routes.h"
#include "auth/secret.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/log.h"
#include "http/problem.h"
#include "http/response.h"

#define THREADS     4
#define TRY_US      2000000 /* while PostgreSQL does not take an answer */
#define PAUSE_NS    50000000
#define TURNS       3 /* of a key that is given up while it is asked for */
#define HEADERS_MAX 4096
#define NUMBER_SIZE 24

/* The request that has taken a key. */
struct ticket {
	char key_hash[SECRET_HASH_SIZE];
	char request_hash[SECRET_HASH_SIZE];
	char attempt[UUID_TEXT_SIZE];
	struct http_copy copy; /* of a streamed answer */
	int64_t until_us;
};

/* --- keeping ---------------------------------------------------------- */

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
body_text(const struct http_request *req, const struct ticket *ticket,
    struct buf *out)
{
	const struct buf *body =
	    req->streaming ? &ticket->copy.body : &req->out;
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

static enum err
keep(struct http_request *req, const struct ticket *ticket)
{
	const struct buf *from =
	    req->streaming ? &ticket->copy.headers : &req->out_headers;
	struct buf headers, body, status;
	const char *args[] = { req->who.user_text, ticket->key_hash,
		ticket->attempt, NULL, req->out_type, NULL, NULL };
	enum err err = ERR_MEMORY;

	buf_init(&headers, HEADERS_MAX);
	buf_init(&status, NUMBER_SIZE);
	buf_init(&body, 2 * (size_t)IDEMPOTENCY_BODY_MAX + 4);
	pick_headers(from, &headers);
	buf_addf(&status, "%d", req->status);
	args[3] = buf_str(&status);
	args[5] = buf_str(&headers);
	if (body_text(req, ticket, &body))
		args[6] = buf_str(&body);
	if (buf_ok(&headers) && buf_ok(&status))
		err = db_query(req->db, DB_IDEMPOTENCY_KEEP, args, NULL);
	buf_fini(&headers);
	buf_fini(&status);
	buf_fini(&body);
	return err;
}

static enum err
let_go(struct http_request *req, const struct ticket *ticket)
{
	const char *args[] = { req->who.user_text, ticket->key_hash,
		ticket->attempt };

	return db_query(req->db, DB_IDEMPOTENCY_DROP, args, NULL);
}

static enum err
conclude(struct http_request *req, const struct ticket *ticket)
{
	return is_failure(req) ? let_go(req, ticket) : keep(req, ticket);
}

/* In a thread of the pool.  The work is done, so the answer goes out even if
 * it cannot be kept: the key then stays taken, and nothing is done twice. */
static enum handled
conclude_and_answer(struct http_request *req)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	const struct ticket *ticket = req->before_send_arg;
	enum err err = conclude(req, ticket);

	while ((err == ERR_BUSY || err == ERR_TIMEOUT) &&
	       clock_mono_us() < ticket->until_us) {
		(void)nanosleep(&pause, NULL); /* signals are blocked */
		err = conclude(req, ticket);
	}
	if (err != OK)
		log_warn("the answer to request %s could not be kept: %s",
		    req->id, err_name(err));
	return ANSWERED;
}

enum err
idempotency_start(const struct config *config, struct pool **out)
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

/* --- giving again ----------------------------------------------------- */

static void
reply(struct http_request *req, enum err err, const char *code,
    const char *detail)
{
	(void)problem_send(req,
	    &(struct problem){
		.err = err, .code = code, .retry_after = 1, .detail = detail });
}

static void
add_headers(struct http_request *req, const char *lines)
{
	while (*lines != '\0') {
		size_t len = strcspn(lines, "\r");
		size_t name = strcspn(lines, ":");
		const char *key = arena_strndup(req->arena, lines, name);

		if (key == NULL || name + 2 > len)
			return;
		response_header(req, key,
		    arena_strndup(req->arena, lines + name + 2,
			len - name - 2));
		lines += len;
		lines += strspn(lines, "\r\n");
	}
}

static void
add_body(struct http_request *req, const char *hex)
{
	for (hex += 2; hex[0] != '\0' && hex[1] != '\0'; hex += 2) {
		char byte = (char)(codec_hex_value(hex[0]) << 4 |
				   codec_hex_value(hex[1]));

		buf_add(&req->out, &byte, 1);
	}
}

/* Columns of find.sql. */
enum column { REQUEST_HASH, DONE, STATUS, CONTENT_TYPE, HEADERS, BODY };

static void
replay(struct http_request *req, const struct db_rows *rows)
{
	const char *type = NULL;

	if (rows_is_null(rows, 0, BODY)) {
		reply(req, ERR_CONFLICT, "idempotency_not_kept",
		    "this request was done; its answer is not given again");
		return;
	}
	if (!rows_is_null(rows, 0, CONTENT_TYPE))
		type =
		    arena_strdup(req->arena, rows_text(rows, 0, CONTENT_TYPE));
	response_header(req, "Idempotency-Replayed", "true");
	add_headers(req, rows_text(rows, 0, HEADERS));
	add_body(req, rows_text(rows, 0, BODY));
	(void)response_type(req, (int)rows_int64(rows, 0, STATUS), type);
}

static void
answer(struct http_request *req, const struct ticket *ticket,
    const struct db_rows *rows)
{
	if (strcmp(rows_text(rows, 0, REQUEST_HASH), ticket->request_hash) != 0)
		reply(req, ERR_CONFLICT, "idempotency_mismatch",
		    "this Idempotency-Key was used for another request");
	else if (!rows_bool(rows, 0, DONE))
		reply(req, ERR_CONFLICT, "idempotency_running",
		    "the request with this Idempotency-Key is still running");
	else
		replay(req, rows);
}

/* --- taking ----------------------------------------------------------- */

static const char *
patience_ms(struct http_request *req)
{
	return arena_printf(req->arena, "%lld",
	    (long long)req->app->config->total_ms + IDEMPOTENCY_GRACE_MS);
}

/* ERR_CONFLICT: somebody else has it. */
static enum err
take(struct http_request *req, const struct ticket *ticket)
{
	char life[UUID_TEXT_SIZE];
	const char *args[] = { req->who.user_text, ticket->key_hash,
		ticket->request_hash, req->route->path, ticket->attempt,
		patience_ms(req), life };
	struct db_rows *rows = NULL;
	enum err err;

	uuid_text(&req->app->life, life);
	if (args[5] == NULL)
		return ERR_MEMORY;
	err = db_query(req->db, DB_IDEMPOTENCY_TAKE, args, &rows);
	if (err == OK && rows_count(rows) == 0)
		err = ERR_CONFLICT;
	rows_free(rows);
	return err;
}

/* OK: it is ours.  ERR_CONFLICT: the client was answered. */
static enum err
take_or_answer(struct http_request *req, const struct ticket *ticket)
{
	const char *args[] = { req->who.user_text, ticket->key_hash };
	struct db_rows *rows = NULL;
	bool found = false;
	enum err err;

	for (int turn = 0; turn < TURNS && !found; turn++) {
		err = take(req, ticket);
		if (err != ERR_CONFLICT)
			return err;
		err = db_query(req->db, DB_IDEMPOTENCY_FIND, args, &rows);
		if (err != OK)
			return err;
		found = rows_count(rows) > 0;
		if (found)
			answer(req, ticket, rows);
		rows_free(rows);
	}
	return found ? ERR_CONFLICT : ERR_BUSY;
}

static bool
is_key(const char *text)
{
	size_t len = 0;

	for (; text[len] != '\0'; len++) {
		if (text[len] <= ' ' || text[len] > '~')
			return false;
	}
	return len >= 1 && len <= IDEMPOTENCY_KEY_MAX;
}

/*
 * The body's hash is mixed with the key: bodies can be short, and whoever reads
 * the table shall not be able to guess them one by one.
 */
static enum err
hash(struct http_request *req, const char *key, struct ticket *out)
{
	char body[SECRET_HASH_SIZE];
	const char *all;

	secret_hash_bytes(req->body, req->body_len, body);
	all = arena_printf(req->arena, "%s %s?%s %s", key, req->path,
	    req->query_text, body);
	if (all == NULL)
		return ERR_MEMORY;
	secret_hash(key, out->key_hash);
	secret_hash(all, out->request_hash);
	return OK;
}

static void
forget_copy(void *arg)
{
	struct http_copy *copy = arg;

	buf_fini(&copy->headers);
	buf_fini(&copy->body);
}

static enum err
make_ticket(struct http_request *req, const char *key, struct ticket **out)
{
	struct ticket *ticket = arena_alloc(req->arena, sizeof(*ticket));
	struct uuid attempt;
	enum err err;

	if (ticket == NULL)
		return ERR_MEMORY;
	buf_init(&ticket->copy.headers, RESPONSE_HEADERS_MAX);
	buf_init(&ticket->copy.body, IDEMPOTENCY_STREAM_MAX);
	err = arena_on_free(req->arena, forget_copy, &ticket->copy);
	if (err == OK)
		err = uuid_make(&attempt);
	if (err == OK)
		err = hash(req, key, ticket);
	if (err != OK)
		return err;
	uuid_text(&attempt, ticket->attempt);
	*out = ticket;
	return OK;
}

/* Passwords are no part of any answer or table, and a login is no creation. */
static bool
takes_keys(const struct http_request *req)
{
	return req->method == HTTP_POST && req->route->role != ROLE_PUBLIC &&
	       (req->route->flags & ROUTE_HASHES) == 0;
}

bool
idempotency_passes_or_reply(struct http_request *req)
{
	const char *key = request_header(req, "idempotency-key");
	struct ticket *ticket;
	enum err err;

	if (key == NULL || !takes_keys(req))
		return true;
	if (!is_key(key)) {
		(void)problem_reply(req, ERR_INPUT,
		    "Idempotency-Key must be 1 to %d visible ASCII characters",
		    IDEMPOTENCY_KEY_MAX);
		return false;
	}
	err = make_ticket(req, key, &ticket);
	if (err == OK)
		err = take_or_answer(req, ticket);
	if (err == OK) {
		req->copy = &ticket->copy;
		req->before_send = before_send;
		req->before_send_arg = ticket;
		return true;
	}
	if (req->status == 0)
		(void)problem_of(req, request_fail(req, err, "idempotency: %s",
					  db_fault(req->db)->sqlstate));
	return false;
}
