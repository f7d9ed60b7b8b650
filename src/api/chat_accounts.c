/*
 * chat_accounts.c - the chats family's users.
 */
#include "api/chat_accounts.h"

#include <string.h>

#include "api/account_form.h"
#include "api/account_login.h"
#include "api/account_store.h"
#include "api/apikeys.h"
#include "api/audit.h"
#include "http/body.h"
#include "http/problem.h"
#include "http/response.h"
#include "json/write.h"

static void
write_user(struct jsonw *w, const struct account *account)
{
	jsonw_key(w, "user");
	jsonw_object(w);
	jsonw_kv(w, "id", account->id_text);
	jsonw_kv(w, "_id", account->id_text);
	jsonw_kv(w, "username", account->username);
	jsonw_kv(w, "email", account->email);
	jsonw_kv(w, "role", account->role);
	jsonw_end_object(w);
}

static enum handled
reply_login(struct http_request *req, int status, const char *message,
    const struct account *account, const struct account_tokens *tokens)
{
	struct jsonw w;

	jsonw_init(&w, &req->out);
	jsonw_object(&w);
	jsonw_kv(&w, "message", message);
	write_user(&w, account);
	jsonw_kv(&w, "token", tokens->access);
	jsonw_end_object(&w);
	return response_json(req, status);
}

enum handled
chats_register(struct http_request *req)
{
	struct problem_fields *bad = problem_fields(req);
	struct account_tokens tokens;
	struct account_new from;
	struct account account;
	struct jsonr *body;

	if (body_object_or_reply(req, &body) != OK)
		return ANSWERED;
	account_form_new(req, bad, body, ACCOUNT_EMAIL | ACCOUNT_USERNAME,
	    &from);
	if (problem_fields_any(bad))
		return problem_fields_reply(bad);
	if (account_register_or_reply(req, &from, &account, &tokens) != OK)
		return ANSWERED;
	return reply_login(req, 201, "User registered successfully", &account,
	    &tokens);
}

enum handled
chats_login(struct http_request *req)
{
	struct account_secret password;
	struct account_tokens tokens;
	struct account account;
	const char *login;
	enum err err;

	err = account_form_login_or_reply(req, "email", &login, &password);
	if (err == OK)
		err = account_login_or_reply(req, login, &password, &account,
		    &tokens);
	return err == OK ? reply_login(req, 200, "Login successful", &account,
			       &tokens)
			 : ANSWERED;
}

enum handled
chats_profile(struct http_request *req)
{
	struct account account;
	struct jsonw w;

	if (account_load_or_reply(req, &account) != OK)
		return ANSWERED;
	jsonw_init(&w, &req->out);
	jsonw_object(&w);
	write_user(&w, &account);
	jsonw_end_object(&w);
	return response_json(req, 200);
}

/* With the user locked, so that two at once leave one key. */
static enum err
replace_key(struct http_request *req, struct apikey *out)
{
	const struct apikey_new from = { .user_id = req->who.user_text,
		.name = "generated",
		.scopes = "{}",
		.generated = true };
	const char *args[] = { req->who.user_text };
	const struct audit event = { .action = "key_create",
		.user_id = req->who.user_text,
		.object = out->id };
	enum err err;

	err = db_query(req->db, DB_ACCOUNTS_HOLD, args, NULL);
	if (err == OK)
		err = db_query(req->db, DB_APIKEYS_REPLACE, args, NULL);
	if (err == OK)
		err = apikey_insert(req->db, &from, out);
	return err == OK ? audit_row(req, &event) : err;
}

enum handled
chats_generate_key(struct http_request *req)
{
	struct apikey made;
	const struct audit event = { .action = "key_create",
		.user_id = req->who.user_text,
		.object = made.id };
	struct jsonw w;
	enum err err;

	err = db_begin(req->db);
	if (err == OK)
		err = replace_key(req, &made);
	err = db_end(req->db, err);
	if (err != OK) {
		(void)account_db_reply(req, err);
		return ANSWERED;
	}
	audit_line(req, &event);
	jsonw_init(&w, &req->out);
	jsonw_object(&w);
	jsonw_kv(&w, "message", "API key generated successfully");
	jsonw_kv(&w, "apiKey", made.key);
	jsonw_end_object(&w);
	explicit_bzero(&made, sizeof(made));
	return response_json(req, 200);
}
