/*
 * idempotency.c - a POST that is sent again is done once: taking keys, and
 * giving kept answers again.  How a request ends is ticket.c's.
 */
#include "api/idempotency.h"

#include <string.h>

#include "api/app.h"
#include "api/later.h"
#include "api/routes.h"
#include "api/ticket.h"
#include "base/codec.h"
#include "base/log.h"
#include "http/problem.h"
#include "http/response.h"

#define TURNS     3 /* of a key that is given up while it is asked for */
#define TAIL      8 /* bytes of an id that are not its time */
#define TAIL_FROM (SECRET_HASH_SIZE - 1 + 16 + TAIL) /* hash, seed, number */

/* --- giving again ----------------------------------------------------- */

static void
reply(struct http_request *req, enum err err, const char *code,
    const char *detail)
{
	(void)problem_send(req,
	    &(struct problem){ .err = err, .code = code, .detail = detail });
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
enum column { REQUEST_HASH, DONE, STATUS, CONTENT_TYPE, HEADERS, BODY, FREED };

static void
replay(struct http_request *req, const struct db_rows *rows)
{
	const char *type = NULL;

	if (!rows_is_null(rows, 0, HEADERS))
		add_headers(req, rows_text(rows, 0, HEADERS));
	if (rows_is_null(rows, 0, BODY)) {
		reply(req, ERR_CONFLICT, "idempotency_not_kept",
		    "this request was done; its answer is not given again");
		return;
	}
	if (!rows_is_null(rows, 0, CONTENT_TYPE))
		type =
		    arena_strdup(req->arena, rows_text(rows, 0, CONTENT_TYPE));
	response_header(req, "Idempotency-Replayed", "true");
	add_body(req, rows_text(rows, 0, BODY));
	(void)response_type(req, (int)rows_int64(rows, 0, STATUS), type);
}

static void
reply_running(struct http_request *req)
{
	(void)problem_send(req,
	    &(struct problem){ .err = ERR_CONFLICT,
		.code = "idempotency_running",
		.retry_after = 1,
		.detail = "the request with this Idempotency-Key is still "
			  "running" });
}

static void
answer(struct http_request *req, const struct ticket *ticket,
    const struct db_rows *rows)
{
	if (strcmp(rows_text(rows, 0, REQUEST_HASH), ticket->request_hash) != 0)
		reply(req, ERR_CONFLICT, "idempotency_mismatch",
		    "this Idempotency-Key was used for another request");
	else if (rows_bool(rows, 0, DONE))
		replay(req, rows);
	else
		reply_running(req);
}

/* --- taking ----------------------------------------------------------- */

/* How long an attempt may take, in ms. */
static const char *
patience_ms(struct http_request *req)
{
	return arena_printf(req->arena, "%lld",
	    (long long)req->app->config->total_ms + IDEMPOTENCY_GRACE_MS);
}

static bool
makes_a_call(const struct http_request *req)
{
	return req->route->limit == LIMIT_CALL;
}

/* ERR_CONFLICT: somebody else has it.  waits: so do records in a spool. */
static enum err
take(struct http_request *req, struct ticket *ticket, bool waits)
{
	char life[UUID_TEXT_SIZE];
	const char *args[] = { req->who.user_text, ticket->key_hash,
		ticket->request_hash, req->route->path, ticket->attempt_text,
		patience_ms(req), life, waits ? "true" : "false" };
	struct db_rows *rows = NULL;
	enum err err;

	uuid_text(&req->app->life, life);
	if (args[5] == NULL)
		return ERR_MEMORY;
	err = db_query(req->db, DB_IDEMPOTENCY_TAKE, args, &rows);
	if (err == OK && rows_count(rows) == 0)
		err = ERR_CONFLICT;
	if (err == OK && !rows_uuid(rows, 0, 0, &ticket->seed))
		err = ERR_BUG;
	if (err == OK)
		ticket->again = rows_bool(rows, 0, 1);
	rows_free(rows);
	return err;
}

/* Whether records wait is asked for after the key was found free: what its last
 * attempt has spooled was there before. */
static bool
worth_another(struct http_request *req, const struct db_rows *rows, bool waits)
{
	return rows_count(rows) == 0 ||
	       (waits && rows_bool(rows, 0, FREED) &&
		   !rows_bool(rows, 0, DONE) &&
		   !journal_any_waits(req->app->journal));
}

/* OK: it is ours.  ERR_CONFLICT: the client was answered. */
static enum err
take_or_answer(struct http_request *req, struct ticket *ticket)
{
	const char *args[] = { req->who.user_text, ticket->key_hash,
		patience_ms(req) };
	bool waits = makes_a_call(req);
	struct db_rows *rows = NULL;
	bool again = true;
	enum err err;

	for (int turn = 0; turn < TURNS && again; turn++) {
		err = take(req, ticket, waits);
		if (err != ERR_CONFLICT)
			return err;
		err = db_query(req->db, DB_IDEMPOTENCY_FIND, args, &rows);
		if (err != OK)
			return err;
		again = worth_another(req, rows, waits);
		if (again && rows_count(rows) > 0)
			waits = false;
		if (!again)
			answer(req, ticket, rows);
		rows_free(rows);
	}
	return again ? ERR_BUSY : ERR_CONFLICT;
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
	enum err err;

	if (ticket == NULL)
		return ERR_MEMORY;
	buf_init(&ticket->copy.headers, RESPONSE_HEADERS_MAX);
	buf_init(&ticket->copy.body, IDEMPOTENCY_STREAM_MAX);
	err = arena_on_free(req->arena, forget_copy, &ticket->copy);
	if (err == OK)
		err = uuid_make(&ticket->attempt);
	if (err == OK)
		err = hash(req, key, ticket);
	if (err != OK)
		return err;
	uuid_text(&ticket->attempt, ticket->attempt_text);
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

/* The key is ours: from now on the request's end sees to it. */
static enum err
begin(struct http_request *req, struct ticket *ticket)
{
	ticket_keep_at_end(req, ticket);
	if ((req->route->flags & ROUTE_ATOMIC) != 0)
		return db_wrap(req->db);
	if (makes_a_call(req))
		req->call_id = ticket->attempt;
	return OK;
}

/* A connection that was lost, or dropped for want of an answer, leaves open
 * whether the key was taken, or will be: nobody would answer for it.  What was
 * never sent took nothing. */
static void
free_if_taken(struct http_request *req, const struct ticket *ticket)
{
	const char *args[] = { req->who.user_text, ticket->key_hash,
		ticket->attempt_text, "false" };
	const char *state = db_fault(req->db)->sqlstate;

	if ((strcmp(state, "08006") == 0 || strcmp(state, DB_LATE) == 0) &&
	    later_undo(req->app->later, DB_IDEMPOTENCY_FREE, args) != OK)
		log_warn("a key that request %s may have taken is not freed",
		    req->id);
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
	if (err == OK) {
		err = take_or_answer(req, ticket);
		if (err == ERR_BUSY || err == ERR_TIMEOUT)
			free_if_taken(req, ticket);
	}
	if (err == OK)
		err = begin(req, ticket);
	if (err == OK)
		return true;
	if (req->status == 0)
		(void)problem_of(req, request_fail(req, err, "idempotency: %s",
					  db_fault(req->db)->sqlstate));
	return false;
}

void
idempotency_settle(struct http_request *req)
{
	if (req->ticket != NULL && req->db != NULL && db_is_wrapped(req->db))
		ticket_commit(req);
}

/* --- ids -------------------------------------------------------------- */

/* The end of an id, which every attempt makes anew from what it has. */
static void
set_tail(const struct ticket *ticket, uint64_t number, struct uuid *id)
{
	char hash[SECRET_HASH_SIZE];
	uint8_t from[TAIL_FROM];
	uint8_t *at = id->bytes + sizeof(id->bytes) - TAIL;

	memcpy(from, ticket->request_hash, SECRET_HASH_SIZE - 1);
	memcpy(from + SECRET_HASH_SIZE - 1, ticket->seed.bytes, 16);
	for (int i = 0; i < TAIL; i++)
		from[TAIL_FROM - 1 - i] = (uint8_t)(number >> (8 * i));
	secret_hash_bytes(from, sizeof(from), hash);
	for (int i = 0; i < TAIL; i++)
		at[i] = (uint8_t)(codec_hex_value(hash[2 * i]) << 4 |
				  codec_hex_value(hash[2 * i + 1]));
	at[0] = (uint8_t)(0x80 | (at[0] & 0x3f));
}

/* The seed's time, as much later as ids were made from it: their order is that
 * in which they were made. */
static void
set_time(const struct ticket *ticket, uint64_t number, struct uuid *id)
{
	uint64_t time = 0;

	*id = ticket->seed;
	for (int i = 0; i < 6; i++)
		time = time << 8 | id->bytes[i];
	time = time << 12 | (uint64_t)(id->bytes[6] & 0x0f) << 8 | id->bytes[7];
	time += number;
	for (int i = 0; i < 6; i++)
		id->bytes[i] = (uint8_t)(time >> (52 - 8 * i));
	id->bytes[6] = (uint8_t)(0x70 | (time >> 8 & 0x0f));
	id->bytes[7] = (uint8_t)time;
}

enum err
idempotency_id(struct http_request *req, struct uuid *out)
{
	struct ticket *ticket = req->ticket;

	if (ticket == NULL)
		return uuid_make(out);
	set_time(ticket, ticket->made, out);
	set_tail(ticket, ticket->made, out);
	ticket->made++;
	return OK;
}

enum err
idempotency_mark(const struct http_request *req, struct uuid *out)
{
	enum err err = uuid_make(out);

	if (err == OK && req->ticket != NULL)
		set_tail(req->ticket, 0, out);
	return err;
}

bool
idempotency_marked(const struct http_request *req, struct uuid *out)
{
	if (req->ticket == NULL || !req->ticket->again)
		return false;
	*out = req->ticket->seed;
	set_tail(req->ticket, 0, out);
	return true;
}
