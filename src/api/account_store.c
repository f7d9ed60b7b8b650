/*
 * account_store.c - accounts: making, reading and changing them.
 */
#include "api/account_store.h"

#include <string.h>

#include "api/account_login.h"
#include "api/app.h"
#include "api/audit.h"
#include "api/throttle.h"
#include "auth/password.h"
#include "base/codec.h"
#include "base/rand.h"

#define NUMBER_SIZE    24
#define USERNAME_TRIES 8

enum err
account_db_reply(struct http_request *req, enum err err)
{
	const struct db_fault *fault = db_fault(req->db);

	(void)request_fail(req, err, "accounts: %s %s", fault->sqlstate,
	    fault->message);
	(void)problem_of(req, err);
	return err;
}

/* --- accounts --------------------------------------------------------- */

static const char *
take(struct http_request *req, const struct db_rows *rows, size_t col)
{
	return rows_is_null(rows, 0, col)
		   ? NULL
		   : arena_strdup(req->arena, rows_text(rows, 0, col));
}

static enum err
fill_account(struct http_request *req, const struct db_rows *rows,
    struct account *out)
{
	*out = (struct account){
		.version = rows_int64(rows, 0, 9),
		.id_text = take(req, rows, 0),
		.email = take(req, rows, 1),
		.username = take(req, rows, 2),
		.first_name = take(req, rows, 3),
		.last_name = take(req, rows, 4),
		.name = take(req, rows, 5),
		.role = take(req, rows, 6),
		.created_at = take(req, rows, 7),
		.updated_at = take(req, rows, 8),
	};
	if (out->id_text == NULL || out->username == NULL || out->role == NULL)
		return ERR_MEMORY;
	return uuid_parse(out->id_text, &out->id);
}

enum err
account_load(struct http_request *req, const char *user_id, struct account *out)
{
	const char *args[] = { user_id };
	struct db_rows *rows = NULL;
	enum err err;

	err = db_query(req->db, DB_ACCOUNTS_GET, args, &rows);
	if (err == OK)
		err = rows_count(rows) == 0 ? ERR_MISSING
					    : fill_account(req, rows, out);
	rows_free(rows);
	return err;
}

enum err
account_load_or_reply(struct http_request *req, struct account *out)
{
	enum err err = account_load(req, req->who.user_text, out);

	if (err == ERR_MISSING) /* gone since it was identified */
		err = ERR_AUTH;
	return err == OK ? OK : account_db_reply(req, err);
}

void
account_json(struct jsonw *w, const struct account *account)
{
	jsonw_object(w);
	jsonw_kv(w, "id", account->id_text);
	jsonw_kv(w, "email", account->email);
	jsonw_kv(w, "username", account->username);
	jsonw_kv(w, "firstName", account->first_name);
	jsonw_kv(w, "lastName", account->last_name);
	jsonw_kv(w, "name", account->name);
	jsonw_kv(w, "role", account->role);
	jsonw_kv(w, "createdAt", account->created_at);
	jsonw_kv(w, "updatedAt", account->updated_at);
	jsonw_end_object(w);
}

/* --- registration ----------------------------------------------------- */

static enum err
insert(struct db *db, const struct account_new *from, const char *hash,
    const char *role, const char *id)
{
	const char *args[] = { id, from->email, from->username, hash,
		from->first_name, from->last_name, from->name,
		from->organization_id, role };
	struct db_rows *rows = NULL;
	enum err err;

	err = db_query(db, DB_ACCOUNTS_CREATE, args, &rows);
	if (err == OK && rows_count(rows) == 0)
		err = ERR_CONFLICT;
	rows_free(rows);
	return err;
}

/* Which of the two is taken by somebody but user (NULL: by anybody). */
static enum err
ask_taken(struct db *db, const char *email, const char *username,
    const char *user, bool taken[2])
{
	const char *args[] = { email, username, user };
	struct db_rows *rows = NULL;
	enum err err;

	err = db_query(db, DB_ACCOUNTS_TAKEN, args, &rows);
	if (err == OK) {
		taken[0] = rows_bool(rows, 0, 0);
		taken[1] = rows_bool(rows, 0, 1);
	}
	rows_free(rows);
	return err;
}

/* "anna" becomes "anna-4f7k2q". */
static enum err
vary_username(const char *base, struct buf *out)
{
	char tail[7] = "";
	uint32_t number;
	enum err err;

	err = rand_bytes(&number, sizeof(number));
	if (err != OK)
		return err;
	codec_base62(number, tail, sizeof(tail) - 1);
	buf_reset(out);
	buf_addf(out, "%s-%s", base, tail);
	return buf_ok(out) ? OK : ERR_MEMORY;
}

enum err
account_insert(struct db *db, const struct account_new *from,
    const char *password_hash, const char *role, struct uuid *id)
{
	char id_text[UUID_TEXT_SIZE];
	struct account_new user = *from;
	bool taken[2] = { false, true };
	struct buf varied;
	enum err err;

	err = uuid_make(id);
	if (err != OK)
		return err;
	uuid_text(id, id_text);
	buf_init(&varied, 256);
	err = insert(db, &user, password_hash, role, id_text);
	for (int i = 0;
	     i < USERNAME_TRIES && err == ERR_CONFLICT && user.username_made;
	     i++) {
		err = ask_taken(db, user.email, user.username, NULL, taken);
		if (err == OK && taken[0])
			err = ERR_CONFLICT;
		else if (err == OK)
			err = vary_username(from->username, &varied);
		if (err != OK)
			break;
		user.username = buf_str(&varied);
		err = insert(db, &user, password_hash, role, id_text);
	}
	buf_fini(&varied);
	return err;
}

static enum err
reply_taken(struct http_request *req, const char *email, const char *username,
    const char *user)
{
	bool taken[2] = { false, false };
	enum err err = ask_taken(req->db, email, username, user, taken);

	if (err != OK)
		return account_db_reply(req, err);
	(void)problem_reply(req, ERR_CONFLICT, "%s is taken",
	    taken[0] ? "this e-mail address" : "this user name");
	return ERR_CONFLICT;
}

static enum err
register_in(struct http_request *req, const struct account_new *from,
    const char *hash, struct account *out, struct account_tokens *tokens)
{
	struct audit event = { .action = "register" };
	char id_text[UUID_TEXT_SIZE];
	struct uuid id;
	enum err err;

	err = account_insert(req->db, from, hash, "user", &id);
	if (err != OK)
		return err;
	uuid_text(&id, id_text);
	err = account_load(req, id_text, out);
	if (err != OK)
		return err;
	if (tokens != NULL)
		err = account_issue(req, out, tokens);
	if (err != OK)
		return err;
	event.user_id = out->id_text;
	return audit_row(req, &event);
}

enum err
account_register_or_reply(struct http_request *req,
    const struct account_new *from, struct account *out,
    struct account_tokens *tokens)
{
	struct audit event = { .action = "register" };
	char hash[PASSWORD_HASH_SIZE];
	struct limit_state taken;
	enum err err;

	err = throttle_register_or_reply(req, &taken);
	if (err != OK)
		return err;
	err = password_hash(from->password.text, from->password.len, hash);
	if (err != OK) {
		throttle_register_undo(req, &taken);
		(void)problem_of(req, request_fail(req, err, "password_hash"));
		return err;
	}
	err = db_begin(req->db);
	if (err == OK)
		err = register_in(req, from, hash, out, tokens);
	err = db_end(req->db, err);
	if (err == ERR_CONFLICT)
		return reply_taken(req, from->email, from->username, NULL);
	if (err != OK) {
		throttle_register_undo(req, &taken);
		return account_db_reply(req, err);
	}
	event.user_id = out->id_text;
	audit_line(req, &event);
	return OK;
}

/* --- changes ---------------------------------------------------------- */

/* ERR_INPUT when current is not the password; else the version it has. */
static enum err
verify_current(struct http_request *req, const struct account_change *change,
    char version[NUMBER_SIZE])
{
	const char *args[] = { req->who.user_text };
	struct db_rows *rows = NULL;
	enum err err;

	err = db_query(req->db, DB_ACCOUNTS_HASH, args, &rows);
	if (err != OK)
		return err;
	if (rows_count(rows) == 0 || rows_len(rows, 0, 1) >= NUMBER_SIZE) {
		rows_free(rows);
		return ERR_AUTH;
	}
	memcpy(version, rows_text(rows, 0, 1), rows_len(rows, 0, 1) + 1);
	err = password_verify(change->current.text, change->current.len,
	    rows_text(rows, 0, 0));
	rows_free(rows);
	return err == ERR_AUTH ? ERR_INPUT : err;
}

/* The family of the caller's own login, as text; NULL when it has none. */
static const char *
own_family(struct http_request *req)
{
	char text[UUID_TEXT_SIZE];
	struct token_claims claims;

	if (identify_claims(&req->app->auth, req, &claims) != OK ||
	    uuid_is_zero(&claims.family_id))
		return NULL;
	uuid_text(&claims.family_id, text);
	return arena_strdup(req->arena, text);
}

static enum err
store_password(struct http_request *req, const char *hash, const char *version)
{
	const char *args[] = { req->who.user_text, hash, version };
	const char *others[] = { req->who.user_text, own_family(req) };
	struct db_rows *rows = NULL;
	enum err err;

	err = db_query(req->db, DB_ACCOUNTS_PASSWORD, args, &rows);
	if (err == OK && rows_count(rows) == 0)
		err = ERR_AUTH; /* another change was quicker */
	rows_free(rows);
	if (err != OK)
		return err;
	return db_query(req->db, DB_ACCOUNTS_REVOKE_OTHERS, others, NULL);
}

static enum err
store_names(struct http_request *req, const struct account_change *change)
{
	const char *args[] = { req->who.user_text, change->email,
		change->username };
	struct db_rows *rows = NULL;
	enum err err;

	err = db_query(req->db, DB_ACCOUNTS_RENAME, args, &rows);
	if (err == OK && rows_count(rows) == 0)
		err = ERR_AUTH; /* disabled meanwhile */
	rows_free(rows);
	return err;
}

/* Not a 401: the client is known, and would only refresh its token. */
static enum err
reply_wrong_password(struct http_request *req,
    const struct account_change *change)
{
	const struct audit event = { .action = "password_change_failed",
		.user_id = req->who.user_text };
	struct problem_fields *bad = problem_fields(req);

	audit_note(req, &event);
	problem_field(bad, change->field, "is not the current password");
	(void)problem_fields_reply(bad);
	return ERR_INPUT;
}

/* ERR_LIMIT: the client was answered. */
static enum err
try_current(struct http_request *req, const struct account_change *change,
    char version[NUMBER_SIZE])
{
	struct throttle try;
	enum err err;

	err = throttle_or_reply(req, req->who.user_text, &try);
	if (err != OK)
		return ERR_LIMIT;
	err = verify_current(req, change, version);
	if (err == OK)
		throttle_passed(req, &try);
	else if (err == ERR_INPUT)
		throttle_failed(req, &try);
	else
		throttle_undo(req, &try);
	return err;
}

/* The new hash, when there is to be one: slow, so before the transaction. */
static enum err
prepare_password(struct http_request *req, const struct account_change *change,
    char hash[PASSWORD_HASH_SIZE], char version[NUMBER_SIZE])
{
	enum err err;

	if (change->password.text == NULL)
		return OK;
	err = try_current(req, change, version);
	if (err != OK)
		return err;
	return password_hash(change->password.text, change->password.len, hash);
}

enum err
account_change_or_reply(struct http_request *req,
    const struct account_change *change)
{
	const struct audit event = {
		.action = change->password.text == NULL ? "account_change"
							: "password_change",
		.user_id = req->who.user_text,
	};
	char hash[PASSWORD_HASH_SIZE], version[NUMBER_SIZE] = "";
	enum err err;

	err = prepare_password(req, change, hash, version);
	if (err == ERR_INPUT)
		return reply_wrong_password(req, change);
	if (err == ERR_LIMIT)
		return err;
	if (err == OK)
		err = db_begin(req->db);
	if (err != OK)
		return account_db_reply(req, err);
	if (change->password.text != NULL)
		err = store_password(req, hash, version);
	if (err == OK && change->username != NULL)
		err = store_names(req, change);
	if (err == OK)
		err = audit_row(req, &event);
	err = db_end(req->db, err);
	if (err == ERR_CONFLICT)
		return reply_taken(req, change->email, change->username,
		    req->who.user_text);
	if (err != OK)
		return account_db_reply(req, err);
	audit_line(req, &event);
	return OK;
}
