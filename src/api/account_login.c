/*
 * account_login.c - logins: issuing tokens, refreshing and revoking them.
 *
 * Whoever makes or revokes refresh tokens of a user first locks the user's row,
 * so that no token is made beside a revocation that cannot see it yet.
 */
#include "api/account_login.h"

#include <stdlib.h>
#include <string.h>

#include "api/app.h"
#include "api/audit.h"
#include "api/throttle.h"
#include "auth/password.h"
#include "auth/secret.h"
#include "base/clock.h"
#include "http/problem.h"

static const char *
number_text(struct http_request *req, int64_t value)
{
	return arena_printf(req->arena, "%lld", (long long)value);
}

/* --- tokens ----------------------------------------------------------- */

/* A refresh token for the client, in the arena, and what is stored of it. */
struct refresh {
	char id[UUID_TEXT_SIZE];
	char hash[SECRET_HASH_SIZE];
	const char *token;
};

static void
wipe(void *token)
{
	explicit_bzero(token, strlen(token));
}

/* A copy of a secret in the arena, wiped with it. */
static const char *
keep_secret(struct http_request *req, const char *secret)
{
	char *copy = arena_strdup(req->arena, secret);

	if (copy != NULL && arena_on_free(req->arena, wipe, copy) != OK)
		return NULL;
	return copy;
}

static enum err
make_refresh(struct http_request *req, struct refresh *out)
{
	char token[SECRET_TOKEN_SIZE];
	struct uuid id;
	enum err err;

	err = uuid_make(&id);
	if (err == OK)
		err = secret_refresh_make(token);
	if (err != OK)
		return err;
	uuid_text(&id, out->id);
	secret_hash(token, out->hash);
	out->token = keep_secret(req, token);
	explicit_bzero(token, sizeof(token));
	return out->token == NULL ? ERR_MEMORY : OK;
}

static enum err
make_access(struct http_request *req, const struct uuid *user_id,
    const struct uuid *family, int64_t version, struct account_tokens *out)
{
	const struct token_keys *keys = &req->app->auth.keys;
	char *token = NULL;
	enum err err;

	err = token_issue(keys, user_id, family, version, &token);
	if (err != OK)
		return err;
	out->access = keep_secret(req, token);
	out->expires_s = token_life_s(keys);
	explicit_bzero(token, strlen(token));
	free(token);
	return out->access == NULL ? ERR_MEMORY : OK;
}

enum err
account_issue(struct http_request *req, const struct account *account,
    struct account_tokens *out)
{
	const char *life =
	    number_text(req, req->app->config->refresh_expires_ms);
	const char *version = number_text(req, account->version);
	char family_text[UUID_TEXT_SIZE];
	struct db_rows *rows = NULL;
	struct refresh refresh;
	struct uuid family;
	enum err err;

	err = make_refresh(req, &refresh);
	if (err == OK)
		err = uuid_make(&family);
	if (err != OK)
		return err;
	if (life == NULL || version == NULL)
		return ERR_MEMORY;
	uuid_text(&family, family_text);
	const char *args[] = { account->id_text, version, refresh.id,
		family_text, refresh.hash, life };

	err = db_query(req->db, DB_ACCOUNTS_TIDY, args, NULL);
	if (err == OK)
		err = db_query(req->db, DB_ACCOUNTS_ISSUE, args, &rows);
	if (err == OK && rows_count(rows) == 0)
		err = ERR_AUTH;
	rows_free(rows);
	if (err != OK)
		return err;
	out->refresh = refresh.token;
	return make_access(req, &account->id, &family, account->version, out);
}

/* --- login ------------------------------------------------------------ */

struct candidate { /* who a login may be of */
	char id[UUID_TEXT_SIZE];
	char hash[PASSWORD_HASH_SIZE];
	int64_t version; /* read with the hash */
	bool known, disabled;
};

static enum err
find(struct http_request *req, const char *login, struct candidate *out)
{
	const char *args[] = { login };
	struct db_rows *rows = NULL;
	enum err err;

	memset(out, 0, sizeof(*out));
	err = db_query(req->db, DB_ACCOUNTS_FIND, args, &rows);
	if (err == OK && rows_count(rows) > 0 &&
	    rows_len(rows, 0, 0) < sizeof(out->id) &&
	    rows_len(rows, 0, 1) < sizeof(out->hash)) {
		memcpy(out->id, rows_text(rows, 0, 0), rows_len(rows, 0, 0));
		memcpy(out->hash, rows_text(rows, 0, 1), rows_len(rows, 0, 1));
		out->version = rows_int64(rows, 0, 2);
		out->disabled = rows_bool(rows, 0, 3);
		out->known = true;
	}
	rows_free(rows);
	return err;
}

static enum err
reply_not_known(struct http_request *req, const char *user_id)
{
	const struct audit event = { .action = "login_failed",
		.user_id = user_id };

	audit_note(req, &event);
	(void)problem_reply(req, ERR_AUTH,
	    "e-mail, user name or password is wrong");
	return ERR_AUTH;
}

/* ERR_AUTH when the account changed since its hash was read. */
static enum err
log_in(struct http_request *req, const struct candidate *candidate,
    struct account *out, struct account_tokens *tokens)
{
	const struct audit event = { .action = "login",
		.user_id = candidate->id };
	enum err err;

	err = account_load(req, candidate->id, out);
	if (err != OK)
		return err == ERR_MISSING ? ERR_AUTH : err;
	out->version = candidate->version;
	err = db_begin(req->db);
	if (err != OK)
		return err;
	err = account_issue(req, out, tokens);
	if (err == OK)
		err = audit_row(req, &event);
	err = db_end(req->db, err);
	if (err == OK)
		audit_line(req, &event);
	return err;
}

enum err
account_login_or_reply(struct http_request *req, const char *login,
    const struct account_secret *password, struct account *out,
    struct account_tokens *tokens)
{
	struct candidate candidate;
	struct throttle try;
	enum err err;

	err = find(req, login, &candidate);
	if (err != OK)
		return account_db_reply(req, err);
	err = throttle_or_reply(req, candidate.known ? candidate.id : login,
	    &try);
	if (err != OK)
		return err;
	err = password_verify(password->text, password->len,
	    candidate.known ? candidate.hash : NULL);
	if (err == OK && candidate.disabled)
		err = ERR_AUTH;
	if (err == OK)
		err = log_in(req, &candidate, out, tokens);
	if (err == OK)
		throttle_passed(req, &try);
	else if (err == ERR_AUTH)
		throttle_failed(req, &try);
	else
		throttle_undo(req, &try);
	if (err == ERR_AUTH)
		return reply_not_known(req,
		    candidate.known ? candidate.id : NULL);
	return err == OK ? OK : account_db_reply(req, err);
}

/* --- refresh and logout ----------------------------------------------- */

static enum err
rotate(struct http_request *req, const char *hash,
    struct account_tokens *tokens)
{
	struct db_rows *rows = NULL;
	struct uuid user, family;
	struct refresh next;
	enum err err;

	err = make_refresh(req, &next);
	if (err != OK)
		return err;
	const char *args[] = { hash, next.id, next.hash };

	err = db_query(req->db, DB_ACCOUNTS_LOCK, args, NULL);
	if (err == OK)
		err = db_query(req->db, DB_ACCOUNTS_ROTATE, args, &rows);
	if (err == OK && rows_count(rows) == 0)
		err = ERR_AUTH;
	if (err != OK)
		goto out;
	tokens->refresh = next.token;
	err = uuid_parse(rows_text(rows, 0, 0), &user);
	if (err == OK)
		err = uuid_parse(rows_text(rows, 0, 1), &family);
	if (err == OK)
		err = make_access(req, &user, &family, rows_int64(rows, 0, 2),
		    tokens);
out:
	rows_free(rows);
	return err;
}

/* With the user locked: a token that was used before ends its family, unless
 * the request that shows it was on its way then. */
static enum err
look_for_reuse(struct http_request *req, const char *hash)
{
	int64_t waited_us = clock_mono_us() - req->started_us;
	const char *args[] = { hash };
	struct db_rows *rows = NULL;
	enum err err;

	err = db_query(req->db, DB_ACCOUNTS_SPENT, args, &rows);
	if (err != OK || rows_count(rows) == 0 ||
	    rows_int64(rows, 0, 2) - waited_us <=
		(int64_t)ACCOUNT_RACE_MS * 1000)
		goto out;
	const char *family[] = { rows_text(rows, 0, 0), rows_text(rows, 0, 1) };
	const struct audit event = { .action = "refresh_reuse",
		.user_id = family[0],
		.object = family[1] };

	err = db_query(req->db, DB_ACCOUNTS_REVOKE_FAMILY, family, NULL);
	if (err == OK)
		err = audit_row(req, &event);
	if (err == OK)
		audit_line(req, &event);
out:
	rows_free(rows);
	return err;
}

/* The refusal is an answer like any other: what it found is committed. */
static enum err
rotate_or_revoke(struct http_request *req, const char *hash,
    struct account_tokens *tokens)
{
	enum err err, verdict;

	err = db_begin(req->db);
	if (err != OK)
		return err;
	verdict = rotate(req, hash, tokens);
	err = verdict;
	if (verdict == ERR_AUTH)
		err = look_for_reuse(req, hash);
	if (err != OK) {
		db_rollback(req->db);
		return err;
	}
	err = db_commit(req->db);
	return err == OK ? verdict : err;
}

enum err
account_refresh_or_reply(struct http_request *req, const char *refresh,
    struct account_tokens *tokens)
{
	char hash[SECRET_HASH_SIZE];
	enum err err;

	secret_hash(refresh, hash);
	err = rotate_or_revoke(req, hash, tokens);
	if (err == ERR_AUTH) {
		(void)problem_reply(req, err,
		    "the refresh token is not valid any more");
		return err;
	}
	return err == OK ? OK : account_db_reply(req, err);
}

static enum err
log_out(struct http_request *req, const char *hash, char user[UUID_TEXT_SIZE])
{
	const char *args[] = { hash };
	struct audit event = { .action = "logout", .user_id = user };
	struct db_rows *rows = NULL;
	enum err err;

	err = db_query(req->db, DB_ACCOUNTS_LOCK, args, NULL);
	if (err == OK)
		err = db_query(req->db, DB_ACCOUNTS_LOGOUT, args, &rows);
	if (err == OK && rows_count(rows) > 0 &&
	    rows_len(rows, 0, 0) < UUID_TEXT_SIZE) {
		memcpy(user, rows_text(rows, 0, 0), rows_len(rows, 0, 0) + 1);
		err = audit_row(req, &event);
	}
	rows_free(rows);
	return err;
}

enum err
account_logout_or_reply(struct http_request *req, const char *refresh)
{
	char hash[SECRET_HASH_SIZE], user[UUID_TEXT_SIZE] = "";
	const struct audit event = { .action = "logout", .user_id = user };
	enum err err;

	secret_hash(refresh, hash);
	err = db_begin(req->db);
	if (err == OK)
		err = log_out(req, hash, user);
	err = db_end(req->db, err);
	if (err != OK)
		return account_db_reply(req, err);
	if (user[0] != '\0')
		audit_line(req, &event);
	return OK;
}
