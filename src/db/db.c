/*
 * db.c - one connection to PostgreSQL: the only file that knows libpq.
 *
 * The socket never blocks: whatever waits does so in wait_for(), which has a
 * deadline.  A connection that missed one is dropped, because what the server
 * still does with it is unknown.
 */
#include "db/db.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>
#include <pg_config.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "db/away.h"
#include "db/crowd.h"
#include "db/fault.h"

#define CONNECT_MS   3000 /* away.c counts on less than 5 s */
#define ROLLBACK_MS  2000
#define GRACE_MS     1000 /* on top of the server's own timeout */
#define IDLE_MS      10000
#define OPTIONS_MAX  4096
#define SETTINGS_MAX 64
#define COPY_CHUNK   65536
#define SHOWN_MAX    40 /* of the name of a parameter that is none */
#define NEVER        INT64_MAX
#define EPOCH_US     (INT64_C(946684800) * 1000000) /* PostgreSQL's: 2000 */

struct db {
	struct db_options options;
	PGconn *conn; /* NULL: not connected */
	uint64_t generation;
	bool in_transaction;
	bool fresh;   /* the transaction: nothing was done in it yet */
	bool broken;  /* the transaction: only a rollback is left */
	bool wrapped; /* the transaction is around those of others */
	bool inner;   /* one of which is open */
	bool stale;   /* the server's prepared statements are not ours */
	bool prepared[DB_STMT_COUNT + 1];
	struct db_fault fault;
};

/* What libpq is told; the values are borrowed. */
struct settings {
	const char *keys[SETTINGS_MAX + 1];
	const char *values[SETTINGS_MAX + 1];
	size_t count;
};

struct db *
db_new(const struct db_options *options)
{
	struct db *db = calloc(1, sizeof(*db));

	if (db != NULL)
		db->options = *options;
	return db;
}

static void
drop(struct db *db)
{
	PQfinish(db->conn);
	db->conn = NULL;
}

void
db_free(struct db *db)
{
	if (db == NULL)
		return;
	drop(db);
	free(db);
}

const struct db_fault *
db_fault(const struct db *db)
{
	return &db->fault;
}

uint64_t
db_generation(const struct db *db)
{
	return db->generation;
}

const char *
db_library_version(void)
{
	return PG_VERSION;
}

/* The first line of text, cut to size between characters; NULL is empty. */
static void
copy_line(char *out, size_t size, const char *text)
{
	size_t len;

	if (text == NULL)
		text = "";
	len = strcspn(text, "\n");
	if (len >= size) {
		len = size - 1;
		while (len > 0 && (text[len] & 0xc0) == 0x80)
			len--;
	}
	memcpy(out, text, len);
	out[len] = '\0';
}

static enum err
fail(struct db *db, enum err err, const char *sqlstate, const char *message)
{
	copy_line(db->fault.sqlstate, sizeof(db->fault.sqlstate), sqlstate);
	copy_line(db->fault.message, sizeof(db->fault.message), message);
	db->fault.constraint[0] = '\0';
	return err;
}

static enum err
lose(struct db *db)
{
	(void)fail(db, ERR_BUSY, "08006", PQerrorMessage(db->conn));
	drop(db);
	return ERR_BUSY;
}

static int64_t
deadline_in(int64_t ms)
{
	return clock_mono_us() + ms * 1000;
}

static int64_t
deadline(const struct db *db)
{
	if (db->options.statement_ms == 0)
		return NEVER;
	return deadline_in(db->options.statement_ms + GRACE_MS);
}

/* Milliseconds for poll(), rounded up; -1 for ever. */
static int
left_ms(int64_t deadline_us)
{
	int64_t left_us;

	if (deadline_us == NEVER)
		return -1;
	left_us = deadline_us - clock_mono_us();
	if (left_us <= 0)
		return 0;
	if (left_us > 3600 * 1000000LL)
		return 3600 * 1000;
	return (int)((left_us + 999) / 1000);
}

/* The events that happened; 0 when the deadline passed. */
static short
wait_for(const PGconn *conn, short events, int64_t deadline_us)
{
	struct pollfd fd = { .fd = PQsocket(conn), .events = events };

	for (;;) {
		int count = poll(&fd, 1, left_ms(deadline_us));

		if (count > 0)
			return fd.revents;
		if (count < 0 && errno != EINTR)
			return POLLERR; /* libpq finds out what it is */
		if (deadline_us != NEVER && clock_mono_us() >= deadline_us)
			return 0;
	}
}

/* --- connecting ------------------------------------------------------- */

static void
quiet(void *arg, const char *message)
{
	(void)arg;
	(void)message;
}

static size_t
find_setting(const struct settings *settings, const char *key)
{
	size_t i = 0;

	while (i < settings->count && strcmp(settings->keys[i], key) != 0)
		i++;
	return i;
}

static void
put(struct settings *settings, const char *key, const char *value)
{
	size_t i = find_setting(settings, key);

	if (i >= SETTINGS_MAX)
		return;
	if (i == settings->count)
		settings->count++;
	settings->keys[i] = key;
	settings->values[i] = value;
}

static void
put_default(struct settings *settings, const char *key, const char *value)
{
	if (find_setting(settings, key) == settings->count)
		put(settings, key, value);
}

/* The server settings of a session, after those that the URL brought. */
static void
add_session_options(const struct db *db, const char *own, struct buf *out)
{
	int64_t statement_ms = db->options.statement_ms;

	if (own != NULL)
		buf_addf(out, "%s ", own);
	buf_addf(out,
	    "-c statement_timeout=%lld -c lock_timeout=%lld"
	    " -c idle_in_transaction_session_timeout=%lld",
	    (long long)statement_ms, (long long)db->options.lock_ms,
	    (long long)(statement_ms == 0 ? 0 : statement_ms + IDLE_MS));
	/* compiling a plan takes longer than nearly all of ours run */
	buf_adds(out,
	    " -c search_path=pg_catalog -c timezone=UTC -c datestyle=ISO"
	    " -c synchronous_commit=on -c client_min_messages=warning"
	    " -c jit=off");
}

static void
fill_settings(const struct db *db, const PQconninfoOption *parsed,
    struct settings *settings, struct buf *options)
{
	const char *own = NULL;

	for (; parsed->keyword != NULL; parsed++) {
		if (parsed->val == NULL)
			continue;
		if (strcmp(parsed->keyword, "options") == 0)
			own = parsed->val;
		put(settings, parsed->keyword, parsed->val);
	}
	add_session_options(db, own, options);
	put(settings, "options", buf_str(options));
	put(settings, "client_encoding", "UTF8");
	if (db->options.application != NULL)
		put(settings, "application_name", db->options.application);
	put_default(settings, "tcp_user_timeout", "10000");
	put_default(settings, "keepalives_idle", "10");
	put_default(settings, "keepalives_interval", "5");
	put_default(settings, "keepalives_count", "3");
}

static int64_t
connect_ms(const struct settings *settings)
{
	size_t i = find_setting(settings, "connect_timeout");
	long long wanted = 0;

	if (i < settings->count)
		wanted = strtoll(settings->values[i], NULL, 10) * 1000;
	return wanted > 0 && wanted < CONNECT_MS ? wanted : CONNECT_MS;
}

static bool
finish_connect(PGconn *conn, int64_t deadline_us)
{
	PostgresPollingStatusType state = PGRES_POLLING_WRITING;

	while (state != PGRES_POLLING_OK) {
		short events =
		    state == PGRES_POLLING_READING ? POLLIN : POLLOUT;

		if (state == PGRES_POLLING_FAILED ||
		    wait_for(conn, events, deadline_us) == 0)
			return false;
		state = PQconnectPoll(conn);
	}
	return PQsetnonblocking(conn, 1) == 0;
}

static enum err
open_connection(struct db *db, const struct settings *settings)
{
	int64_t deadline_us = deadline_in(connect_ms(settings));

	db->conn = PQconnectStartParams(settings->keys, settings->values, 0);
	if (db->conn == NULL)
		return fail(db, ERR_MEMORY, "", "no memory for a connection");
	PQsetNoticeProcessor(db->conn, quiet, NULL);
	if (PQstatus(db->conn) == CONNECTION_BAD)
		return lose(db);
	if (!finish_connect(db->conn, deadline_us)) {
		bool late = clock_mono_us() >= deadline_us;

		(void)lose(db);
		if (late)
			(void)fail(db, ERR_BUSY, "08001", "no answer in time");
		return ERR_BUSY;
	}
	memset(db->prepared, 0, sizeof(db->prepared));
	db->stale = false;
	db->generation++;
	return OK;
}

static enum err
connect_as_told(struct db *db)
{
	struct settings settings = { .count = 0 };
	struct buf options;
	PQconninfoOption *parsed;
	const char *url = db->options.url;
	char *words = NULL;
	enum err err = ERR_MEMORY;

	parsed = PQconninfoParse(url == NULL ? "" : url, &words);
	if (parsed == NULL && words == NULL)
		return fail(db, ERR_MEMORY, "", "no memory for a connection");
	/* the words quote the URL, and with it a password */
	PQfreemem(words);
	if (parsed == NULL)
		return fail(db, ERR_SYSTEM, "", "the database URL is wrong");
	buf_init(&options, OPTIONS_MAX);
	fill_settings(db, parsed, &settings, &options);
	if (buf_ok(&options))
		err = open_connection(db, &settings);
	buf_fini(&options);
	PQconninfoFree(parsed);
	return err;
}

static enum err
connect_in_turn(struct db *db)
{
	int64_t asked_us = clock_mono_us();
	enum err err;

	if (!away_may_try(asked_us))
		return fail(db, ERR_BUSY, "08001", "PostgreSQL is away");
	err = connect_as_told(db);
	if (err == OK) {
		if (away_ended())
			log_info("PostgreSQL is back");
	} else if (away_failed(asked_us, clock_mono_us()))
		log_warn("PostgreSQL is away: %s", db->fault.message);
	return err;
}

/* What libpq says without what it quotes, unless that is a parameter's name:
 * a value may be a password. */
static void
add_words(const char *words, struct buf *problem)
{
	const char *name = strstr(words, "option \"");
	size_t len;

	if (strncmp(words, "invalid ", 8) != 0) {
		buf_adds(problem, "is no connection string of PostgreSQL");
		return;
	}
	buf_adds(problem, "has an ");
	len = strcspn(words, "\":\n");
	while (words[len - 1] == ' ')
		len--;
	buf_add(problem, words, len);
	if (name == NULL)
		name = strstr(words, "parameter: \"");
	if (name == NULL)
		return;
	name = strchr(name, '"') + 1;
	len = strspn(name, "abcdefghijklmnopqrstuvwxyz_");
	if (len > 0 && len <= SHOWN_MAX && name[len] == '"')
		buf_addf(problem, " (%.*s)", (int)len, name);
}

/* libpq looks at values when it connects: to a place that there is not. */
static bool
values_are_valid(const PQconninfoOption *parsed, struct buf *problem)
{
	struct settings settings = { .count = 0 };
	const char *words;
	PGconn *conn;
	bool valid;

	for (; parsed->keyword != NULL; parsed++) {
		if (parsed->val != NULL &&
		    strcmp(parsed->keyword, "hostaddr") != 0)
			put(&settings, parsed->keyword, parsed->val);
	}
	put(&settings, "host", "/nonexistent");
	put(&settings, "passfile", "/nonexistent");
	conn = PQconnectStartParams(settings.keys, settings.values, 0);
	words = PQerrorMessage(conn);
	valid = conn == NULL || strncmp(words, "invalid ", 8) != 0;
	if (!valid)
		add_words(words, problem);
	PQfinish(conn);
	return valid;
}

bool
db_url_is_valid(const char *url, struct buf *problem)
{
	char *words = NULL;
	PQconninfoOption *parsed = PQconninfoParse(url, &words);
	bool valid = true;

	if (parsed != NULL) {
		valid = values_are_valid(parsed, problem);
	} else if (words != NULL) { /* else memory was short */
		valid = false;
		add_words(words, problem);
	}
	PQfreemem(words);
	PQconninfoFree(parsed);
	return valid;
}

/*
 * Reads what came while nobody listened: notifications, or the end of the
 * connection, whose last message comes before it.
 */
static bool
is_dead(PGconn *conn)
{
	while (PQstatus(conn) == CONNECTION_OK) {
		struct pollfd fd = { .fd = PQsocket(conn), .events = POLLIN };

		if (poll(&fd, 1, 0) <= 0)
			return false;
		if (PQconsumeInput(conn) == 0)
			return true;
	}
	return true;
}

/* Makes the connection fit for a statement. */
static enum err
make_ready(struct db *db)
{
	if (db->in_transaction) {
		if (db->broken || db->conn == NULL)
			return fail(db, ERR_BUG, "25P02",
			    "the transaction has failed before");
		return OK;
	}
	if (db->conn != NULL && is_dead(db->conn))
		drop(db);
	if (db->conn != NULL)
		return OK;
	return connect_in_turn(db);
}

enum err
db_connect(struct db *db)
{
	return make_ready(db);
}

/* --- sending and receiving -------------------------------------------- */

static enum err
miss_deadline(struct db *db)
{
	drop(db);
	return fail(db, ERR_TIMEOUT, DB_LATE, "no answer in time");
}

static enum err
flush(struct db *db, int64_t deadline_us)
{
	for (;;) {
		int left = PQflush(db->conn);
		short events;

		if (left == 0)
			return OK;
		if (left < 0)
			return lose(db);
		events = wait_for(db->conn, POLLIN | POLLOUT, deadline_us);
		if (events == 0)
			return miss_deadline(db);
		/* the server may have to be read before it reads on */
		if ((events & POLLIN) != 0 && PQconsumeInput(db->conn) == 0)
			return lose(db);
	}
}

/* The next result of what was sent; NULL after the last. */
static enum err
next_result(struct db *db, int64_t deadline_us, PGresult **out)
{
	enum err err = flush(db, deadline_us);

	if (err != OK)
		return err;
	while (PQisBusy(db->conn)) {
		if (wait_for(db->conn, POLLIN, deadline_us) == 0)
			return miss_deadline(db);
		if (PQconsumeInput(db->conn) == 0)
			return lose(db);
	}
	*out = PQgetResult(db->conn);
	return OK;
}

/* Fills the fault from a failed result. */
static enum err
note_failure(struct db *db, const PGresult *res)
{
	struct db_fault *fault = &db->fault;
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *words;

	copy_line(fault->sqlstate, sizeof(fault->sqlstate),
	    state == NULL ? "08006" : state); /* made by libpq itself */
	copy_line(fault->constraint, sizeof(fault->constraint),
	    PQresultErrorField(res, PG_DIAG_CONSTRAINT_NAME));
	words = fault_words(fault->sqlstate);
	if (words == NULL)
		words = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	copy_line(fault->message, sizeof(fault->message), words);
	if (!fault_is_stale_statement(fault->sqlstate))
		return fault_err(fault->sqlstate);
	db->stale = true;
	/* the next transaction prepares it again */
	return db->in_transaction ? ERR_BUSY : fault_err(fault->sqlstate);
}

static enum err
judge(struct db *db, const PGresult *res)
{
	ExecStatusType status = PQresultStatus(res);

	if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ||
	    status == PGRES_SINGLE_TUPLE || status == PGRES_EMPTY_QUERY)
		return OK;
	if (status == PGRES_FATAL_ERROR)
		return note_failure(db, res);
	drop(db); /* in the middle of a COPY that nobody asked for */
	return fail(db, ERR_BUG, "", "a result of another kind was expected");
}

/* Reads all results; the last is the caller's, NULL unless OK. */
static enum err
collect(struct db *db, int64_t deadline_us, PGresult **out)
{
	PGresult *kept = NULL, *res = NULL;
	enum err verdict = OK;

	do {
		struct db_fault cause = db->fault;
		enum err err = next_result(db, deadline_us, &res);

		if (err != OK && verdict == OK)
			verdict = err;
		else if (err != OK)
			db->fault = cause; /* the server said why before */
		if (err != OK || res == NULL)
			break;
		PQclear(kept);
		kept = res;
		if (verdict == OK)
			verdict = judge(db, res);
	} while (db->conn != NULL);
	if (db->conn != NULL && PQstatus(db->conn) == CONNECTION_BAD)
		drop(db);
	if (verdict != OK || out == NULL) {
		PQclear(kept);
		kept = NULL;
	}
	if (out != NULL)
		*out = kept;
	return verdict;
}

/* Notes what became of a transaction: it may not be able to go on. */
static enum err
conclude(struct db *db, enum err err)
{
	db->fresh = false;
	if (err != OK && db->in_transaction)
		db->broken = true;
	return err;
}

/* Runs SQL text on a connection that is ready. */
static enum err
run_text(struct db *db, const char *sql, int64_t deadline_us)
{
	if (!PQsendQuery(db->conn, sql))
		return lose(db);
	return collect(db, deadline_us, NULL);
}

/* --- statements ------------------------------------------------------- */

static enum err
prepare(struct db *db, enum db_stmt stmt, int64_t deadline_us)
{
	const struct db_statement *statement = &db_statements[stmt];
	enum err err;

	if (db->stale) {
		err = run_text(db, "deallocate all", deadline_us);
		if (err != OK)
			return err;
		memset(db->prepared, 0, sizeof(db->prepared));
		db->stale = false;
	}
	if (db->prepared[stmt])
		return OK;
	if (!PQsendPrepare(db->conn, statement->name, statement->text, 0, NULL))
		return lose(db);
	err = collect(db, deadline_us, NULL);
	db->prepared[stmt] = err == OK;
	return err;
}

static enum err
send_statement(struct db *db, enum db_stmt stmt, const char *const *args,
    int64_t deadline_us)
{
	const struct db_statement *statement = &db_statements[stmt];
	enum err err;

	if (statement->anew) {
		if (!PQsendQueryParams(db->conn, statement->text,
			statement->nparams, NULL, args, NULL, NULL,
			statement->binary))
			return lose(db);
		return OK;
	}
	err = prepare(db, stmt, deadline_us);
	if (err != OK)
		return err;
	if (!PQsendQueryPrepared(db->conn, statement->name, statement->nparams,
		args, NULL, NULL, statement->binary))
		return lose(db);
	return OK;
}

static enum err
query_once(struct db *db, enum db_stmt stmt, const char *const *args,
    PGresult **out)
{
	int64_t deadline_us = deadline(db);
	enum err err = send_statement(db, stmt, args, deadline_us);

	if (err != OK)
		return err;
	return collect(db, deadline_us, out);
}

/* Refused before it did anything, and it could go better now. */
static bool
is_worth_another(const struct db *db, enum err err)
{
	return err != OK && db->stale && db->conn != NULL &&
	       (!db->in_transaction || db->fresh);
}

/* Before another try: a transaction that was only begun is begun again. */
static enum err
start_over(struct db *db)
{
	if (!db->in_transaction)
		return OK;
	return run_text(db, "rollback; begin", deadline(db));
}

/* Outside a transaction: may this thread wait for PostgreSQL now? */
static enum err
enter(struct db *db, int64_t *entered_us)
{
	*entered_us = 0;
	if (db->options.crowd == NULL)
		return OK;
	*entered_us = clock_mono_us();
	if (crowd_enter(db->options.crowd, *entered_us, db->in_transaction))
		return OK;
	return fail(db, ERR_BUSY, DB_CROWDED,
	    "PostgreSQL is slow, and enough threads wait for it");
}

static void
leave(struct db *db, int64_t entered_us)
{
	if (db->options.crowd != NULL)
		crowd_leave(db->options.crowd, entered_us, clock_mono_us());
}

static enum err
query(struct db *db, enum db_stmt stmt, const char *const *args, PGresult **res)
{
	enum err err = make_ready(db);

	if (err != OK)
		return err;
	err = query_once(db, stmt, args, res);
	if (is_worth_another(db, err)) {
		err = start_over(db);
		if (err == OK)
			err = query_once(db, stmt, args, res);
	}
	return conclude(db, err);
}

enum err
db_query(struct db *db, enum db_stmt stmt, const char *const *args,
    struct db_rows **rows)
{
	PGresult *res = NULL;
	int64_t entered_us;
	enum err err;

	if (rows != NULL)
		*rows = NULL;
	err = enter(db, &entered_us);
	if (err != OK)
		return err;
	err = query(db, stmt, args, &res);
	leave(db, entered_us);
	if (err != OK)
		return err;
	/* struct db_rows is never defined: it is a PGresult, seen from outside */
	if (rows != NULL)
		*rows = (struct db_rows *)res;
	else
		PQclear(res);
	return OK;
}

/* Hands each row on until there are no more. */
static enum err
pass_rows(struct db *db, enum err (*each)(void *arg, const struct db_rows *row),
    void *arg)
{
	for (;;) {
		PGresult *res = NULL;
		enum err err = next_result(db, deadline(db), &res);

		if (err != OK)
			return err;
		if (PQresultStatus(res) != PGRES_SINGLE_TUPLE) {
			err = judge(db, res);
			PQclear(res);
			if (err == OK || db->conn == NULL)
				return err;
			(void)collect(db, deadline(db), NULL); /* the end */
			return err;
		}
		err = each(arg, (const struct db_rows *)res);
		PQclear(res);
		if (err != OK) {
			drop(db); /* the rest would have to be read */
			return fail(db, err, "57014", "not wanted any more");
		}
	}
}

static enum err
each_once(struct db *db, enum db_stmt stmt, const char *const *args,
    enum err (*each)(void *arg, const struct db_rows *row), void *arg)
{
	enum err err = send_statement(db, stmt, args, deadline(db));

	if (err != OK)
		return err;
	if (!PQsetSingleRowMode(db->conn))
		return lose(db);
	err = pass_rows(db, each, arg);
	if (err != OK)
		return err;
	return collect(db, deadline(db), NULL); /* nothing is left */
}

enum err
db_each(struct db *db, enum db_stmt stmt, const char *const *args,
    enum err (*each)(void *arg, const struct db_rows *row), void *arg)
{
	enum err err = make_ready(db);

	if (err != OK)
		return err;
	err = each_once(db, stmt, args, each, arg);
	if (is_worth_another(db, err)) {
		err = start_over(db);
		if (err == OK)
			err = each_once(db, stmt, args, each, arg);
	}
	return conclude(db, err);
}

void
db_rollback(struct db *db)
{
	struct db_fault cause = db->fault;

	if (db->wrapped) {
		db->broken = db->broken || db->inner;
		db->inner = false;
		return;
	}
	db->in_transaction = false;
	db->broken = false;
	if (db->conn == NULL)
		return;
	if (PQtransactionStatus(db->conn) != PQTRANS_IDLE &&
	    run_text(db, "rollback", deadline_in(ROLLBACK_MS)) != OK)
		drop(db);
	db->fault = cause; /* what came before is what the log needs */
}

enum err
db_script(struct db *db, const char *sql)
{
	enum err err = make_ready(db);

	if (err != OK)
		return err;
	err = run_text(db, sql, deadline(db));
	if (!db->in_transaction && db->conn != NULL &&
	    PQtransactionStatus(db->conn) != PQTRANS_IDLE)
		db_rollback(db); /* the text began one and did not end it */
	return conclude(db, err);
}

/* --- transactions ----------------------------------------------------- */

static enum err
begin(struct db *db)
{
	enum err err = make_ready(db);

	if (err != OK)
		return err;
	err = run_text(db, "begin", deadline(db));
	db->broken = false;
	db->in_transaction = err == OK;
	db->fresh = err == OK;
	return err;
}

enum err
db_begin(struct db *db)
{
	int64_t entered_us;
	enum err err;

	if (db->wrapped && !db->inner) {
		err = make_ready(db);
		db->inner = err == OK;
		return err;
	}
	if (db->in_transaction)
		return fail(db, ERR_BUG, "25001", "already in a transaction");
	err = enter(db, &entered_us);
	if (err != OK)
		return err;
	err = begin(db);
	leave(db, entered_us);
	return err;
}

enum err
db_commit(struct db *db)
{
	enum err err;

	if (!db->in_transaction || (db->wrapped && !db->inner))
		return fail(db, ERR_BUG, "25P01", "not in a transaction");
	err = make_ready(db);
	if (db->wrapped) {
		db->inner = false;
		return err;
	}
	if (err == OK)
		err = run_text(db, "commit", deadline(db));
	if (err == OK)
		db->in_transaction = false;
	else
		db_rollback(db); /* if it has not ended by that */
	return err;
}

enum err
db_end(struct db *db, enum err err)
{
	if (err == OK)
		return db_commit(db);
	db_rollback(db);
	return err;
}

enum err
db_wrap(struct db *db)
{
	enum err err = db_begin(db);

	db->wrapped = err == OK;
	return err;
}

enum err
db_unwrap(struct db *db, enum err err)
{
	db->wrapped = false;
	db->inner = false;
	return db_end(db, err);
}

bool
db_is_wrapped(const struct db *db)
{
	return db->wrapped;
}

bool
db_is_broken(const struct db *db)
{
	return db->broken || db->conn == NULL;
}

/* --- COPY ------------------------------------------------------------- */

/* Reads on until the server wants the rows of the next COPY. */
static enum err
await_copy(struct db *db, int64_t deadline_us)
{
	for (;;) {
		PGresult *res = NULL;
		ExecStatusType status;
		enum err err = next_result(db, deadline_us, &res);

		if (err != OK)
			return err;
		if (res == NULL)
			return fail(db, ERR_BUG, "", "not a COPY");
		status = PQresultStatus(res);
		if (status != PGRES_COPY_IN)
			err = judge(db, res);
		PQclear(res);
		if (status == PGRES_COPY_IN)
			return OK;
		if (err != OK && db->conn != NULL)
			(void)collect(db, deadline_us, NULL); /* the end */
		if (err != OK)
			return err;
	}
}

static enum err
put_copy_data(struct db *db, const struct db_lines *lines, int64_t deadline_us)
{
	const char *text = lines->text;
	size_t len = lines->len;

	while (len > 0) {
		size_t part = len < COPY_CHUNK ? len : COPY_CHUNK;
		int put = PQputCopyData(db->conn, text, (int)part);
		enum err err = OK;

		if (put < 0)
			return lose(db);
		if (put > 0) {
			text += part;
			len -= part;
		}
		if (len > 0) /* now there is room, and memory for no more */
			err = flush(db, deadline_us);
		if (err != OK)
			return err;
	}
	return OK;
}

static enum err
end_copy(struct db *db, int64_t deadline_us)
{
	int put;

	while ((put = PQputCopyEnd(db->conn, NULL)) == 0) {
		enum err err = flush(db, deadline_us);

		if (err != OK)
			return err;
	}
	return put < 0 ? lose(db) : OK;
}

static enum err
copy_all(struct db *db, const char *sql, const struct db_lines *lines,
    size_t count)
{
	int64_t deadline_us = deadline(db);
	enum err err = OK;

	if (!PQsendQuery(db->conn, sql))
		return lose(db);
	for (size_t i = 0; i < count && err == OK; i++) {
		err = await_copy(db, deadline_us);
		if (err == OK)
			err = put_copy_data(db, &lines[i], deadline_us);
		if (err == OK)
			err = end_copy(db, deadline_us);
	}
	if (err != OK)
		return err;
	return collect(db, deadline_us, NULL);
}

enum err
db_copy(struct db *db, const char *sql, const struct db_lines *lines,
    size_t count)
{
	enum err err = make_ready(db);

	if (err != OK)
		return err;
	return conclude(db, copy_all(db, sql, lines, count));
}

/* --- notifications ---------------------------------------------------- */

int
db_fd(const struct db *db)
{
	return db->conn == NULL ? -1 : PQsocket(db->conn);
}

enum err
db_notification(struct db *db, char *channel, size_t channel_size,
    char *payload, size_t payload_size)
{
	PGnotify *note;

	if (db->conn == NULL)
		return fail(db, ERR_BUSY, "08003", "not connected");
	note = PQnotifies(db->conn);
	if (note == NULL) {
		if (is_dead(db->conn))
			return lose(db);
		note = PQnotifies(db->conn);
	}
	if (note == NULL)
		return ERR_MISSING;
	copy_line(channel, channel_size, note->relname);
	copy_line(payload, payload_size, note->extra);
	PQfreemem(note);
	return OK;
}

/* --- rows ------------------------------------------------------------- */

static const PGresult *
result(const struct db_rows *rows)
{
	return (const PGresult *)rows;
}

static bool
has(const struct db_rows *rows, size_t row, size_t col)
{
	/* outside is null too, which quiet() is told */
	return rows != NULL && !PQgetisnull(result(rows), (int)row, (int)col);
}

size_t
rows_count(const struct db_rows *rows)
{
	return rows == NULL ? 0 : (size_t)PQntuples(result(rows));
}

const char *
rows_text(const struct db_rows *rows, size_t row, size_t col)
{
	if (!has(rows, row, col))
		return NULL;
	return PQgetvalue(result(rows), (int)row, (int)col);
}

size_t
rows_len(const struct db_rows *rows, size_t row, size_t col)
{
	if (!has(rows, row, col))
		return 0;
	return (size_t)PQgetlength(result(rows), (int)row, (int)col);
}

static bool
is_binary(const struct db_rows *rows, size_t col)
{
	return PQfformat(result(rows), (int)col) == 1;
}

/* A number of 2, 4 or 8 bytes, the highest first. */
static int64_t
binary_number(const char *bytes, size_t len)
{
	uint64_t number = len > 0 && (bytes[0] & 0x80) != 0 ? UINT64_MAX : 0;

	for (size_t i = 0; i < len; i++)
		number = number << 8 | (uint8_t)bytes[i];
	return (int64_t)number;
}

int64_t
rows_int64(const struct db_rows *rows, size_t row, size_t col)
{
	const char *text = rows_text(rows, row, col);

	if (text == NULL)
		return 0;
	if (is_binary(rows, col))
		return binary_number(text, rows_len(rows, row, col));
	return strtoll(text, NULL, 10);
}

bool
rows_bool(const struct db_rows *rows, size_t row, size_t col)
{
	const char *text = rows_text(rows, row, col);

	return text != NULL && (text[0] == 't' || text[0] == '\1');
}

bool
rows_uuid(const struct db_rows *rows, size_t row, size_t col, struct uuid *out)
{
	const char *text = rows_text(rows, row, col);

	if (text == NULL)
		return false;
	if (!is_binary(rows, col))
		return uuid_parse(text, out) == OK;
	if (rows_len(rows, row, col) != sizeof(out->bytes))
		return false;
	memcpy(out->bytes, text, sizeof(out->bytes));
	return true;
}

int64_t
rows_wall_us(const struct db_rows *rows, size_t row, size_t col)
{
	int64_t wall_us = 0;
	int64_t since_us;

	if (!has(rows, row, col))
		return 0;
	if (!is_binary(rows, col)) {
		(void)!clock_parse(rows_text(rows, row, col), &wall_us);
		return wall_us;
	}
	since_us = rows_int64(rows, row, col);
	if (since_us == INT64_MIN || since_us > INT64_MAX - EPOCH_US)
		return 0;
	return since_us + EPOCH_US;
}

bool
rows_is_null(const struct db_rows *rows, size_t row, size_t col)
{
	return !has(rows, row, col);
}

void
rows_free(struct db_rows *rows)
{
	PQclear((PGresult *)rows);
}
