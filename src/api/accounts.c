/*
 * accounts.c - the routes under /auth and /user: the bodies suit the clients of
 * both families that use these paths.
 */
#include "api/accounts.h"

#include "api/account_form.h"
#include "api/account_login.h"
#include "api/account_store.h"
#include "http/body.h"
#include "http/problem.h"
#include "http/response.h"
#include "json/write.h"

/* {"status":200,"code":"SUCCESS","message":...  of one of the families */
static void
begin_success(struct jsonw *w, const char *message)
{
	jsonw_object(w);
	jsonw_kv_int(w, "status", 200);
	jsonw_kv(w, "code", "SUCCESS");
	jsonw_kv(w, "message", message);
}

/* What both families find: the tokens in data, and beside it. */
struct grant {
	int status;
	const char *message;
	struct account account;
	struct account_tokens tokens;
};

static enum handled
reply_grant(struct http_request *req, const struct grant *grant)
{
	struct jsonw w;

	jsonw_init(&w, &req->out);
	begin_success(&w, grant->message);
	jsonw_key(&w, "data");
	jsonw_object(&w);
	jsonw_key(&w, "user");
	account_json(&w, &grant->account);
	jsonw_kv(&w, "accessToken", grant->tokens.access);
	jsonw_kv(&w, "refreshToken", grant->tokens.refresh);
	jsonw_end_object(&w);
	jsonw_kv(&w, "access_token", grant->tokens.access);
	jsonw_kv(&w, "refresh_token", grant->tokens.refresh);
	jsonw_kv(&w, "token_type", "Bearer");
	jsonw_kv_int(&w, "expires_in", grant->tokens.expires_s);
	jsonw_key(&w, "user");
	account_json(&w, &grant->account);
	jsonw_end_object(&w);
	return response_json(req, grant->status);
}

enum handled
accounts_register(struct http_request *req)
{
	struct problem_fields *bad = problem_fields(req);
	struct grant grant = { .status = 201,
		.message = "Registration successful" };
	struct account_new from;
	struct jsonr *body;

	if (body_object_or_reply(req, &body) != OK)
		return ANSWERED;
	account_form_new(req, bad, body, ACCOUNT_EMAIL, &from);
	if (problem_fields_any(bad))
		return problem_fields_reply(bad);
	if (account_register_or_reply(req, &from, &grant.account,
		&grant.tokens) != OK)
		return ANSWERED;
	return reply_grant(req, &grant);
}

enum handled
accounts_login(struct http_request *req)
{
	struct grant grant = { .status = 200, .message = "Login successful" };
	struct account_secret password;
	const char *login;
	enum err err;

	err = account_form_login_or_reply(req, "email", &login, &password);
	if (err == OK)
		err = account_login_or_reply(req, login, &password,
		    &grant.account, &grant.tokens);
	return err == OK ? reply_grant(req, &grant) : ANSWERED;
}

enum handled
accounts_refresh(struct http_request *req)
{
	struct account_tokens tokens;
	const char *refresh;
	struct jsonw w;
	enum err err;

	err = account_form_refresh_or_reply(req, "refreshToken", &refresh);
	if (err == OK)
		err = account_refresh_or_reply(req, refresh, &tokens);
	if (err != OK)
		return ANSWERED;
	jsonw_init(&w, &req->out);
	begin_success(&w, "Token refreshed successfully");
	jsonw_key(&w, "data");
	jsonw_object(&w);
	jsonw_kv(&w, "accessToken", tokens.access);
	jsonw_kv(&w, "refreshToken", tokens.refresh);
	jsonw_end_object(&w);
	jsonw_kv(&w, "access_token", tokens.access);
	jsonw_kv(&w, "refresh_token", tokens.refresh);
	jsonw_kv(&w, "access", tokens.access);
	jsonw_kv(&w, "refresh", tokens.refresh);
	jsonw_end_object(&w);
	return response_json(req, 200);
}

enum handled
accounts_logout(struct http_request *req)
{
	const char *refresh;
	enum err err;

	err = account_form_refresh_or_reply(req, "refreshToken", &refresh);
	if (err == OK)
		err = account_logout_or_reply(req, refresh);
	return err == OK ? response_empty(req, 204) : ANSWERED;
}

enum handled
accounts_password(struct http_request *req)
{
	struct problem_fields *bad = problem_fields(req);
	struct account_change change = { .field = "currentPassword" };
	struct account account;
	struct jsonr *body;

	if (body_object_or_reply(req, &body) != OK ||
	    account_load_or_reply(req, &account) != OK)
		return ANSWERED;
	const struct account_new of = { .email = account.email,
		.username = account.username };

	account_form_secret(bad, body, "currentPassword", &change.current);
	account_form_password(req, body, "newPassword", &of, &change.password);
	if (problem_fields_any(bad))
		return problem_fields_reply(bad);
	if (account_change_or_reply(req, &change) != OK)
		return ANSWERED;
	return response_empty(req, 204);
}

enum handled
accounts_profile(struct http_request *req)
{
	struct account account;
	struct jsonw w;

	if (account_load_or_reply(req, &account) != OK)
		return ANSWERED;
	jsonw_init(&w, &req->out);
	account_json(&w, &account);
	return response_json(req, 200);
}

enum handled
accounts_user_get(struct http_request *req)
{
	struct account account;
	struct jsonw w;

	if (account_load_or_reply(req, &account) != OK)
		return ANSWERED;
	jsonw_init(&w, &req->out);
	jsonw_object(&w);
	jsonw_key(&w, "data");
	jsonw_object(&w);
	jsonw_key(&w, "user");
	account_json(&w, &account);
	jsonw_end_object(&w);
	jsonw_kv_bool(&w, "ok", true);
	jsonw_end_object(&w);
	return response_json(req, 200);
}

enum handled
accounts_user_patch(struct http_request *req)
{
	struct problem_fields *bad = problem_fields(req);
	const char *args[] = { req->who.user_text, NULL, NULL };
	struct jsonr *body;
	enum err err;

	if (body_object_or_reply(req, &body) != OK)
		return ANSWERED;
	account_form_names(bad, body, &args[1], &args[2]);
	if (problem_fields_any(bad))
		return problem_fields_reply(bad);
	err = db_query(req->db, DB_ACCOUNTS_NAMES, args, NULL);
	if (err != OK) {
		(void)account_db_reply(req, err);
		return ANSWERED;
	}
	return accounts_user_get(req);
}
