/*
 * logger_accounts.c - the logger family's registration, login and profile.
 */
#include "api/logger_accounts.h"

#include <string.h>

#include "api/account_form.h"
#include "api/account_login.h"
#include "api/account_store.h"
#include "auth/secret.h"
#include "http/body.h"
#include "http/problem.h"
#include "http/response.h"
#include "json/write.h"

static void
check_confirm(struct problem_fields *bad, const struct jsonr *body,
    const struct account_new *from)
{
	const struct jsonr *value = jsonr_get(body, "password_confirm");
	const char *confirm;

	if (value == NULL || jsonr_kind(value) == JSONR_NULL ||
	    from->password.text == NULL)
		return;
	if (jsonr_string(value, &confirm, NULL) != OK ||
	    !secret_equal(confirm, from->password.text))
		problem_field(bad, "password_confirm",
		    "must be the same as the password");
}

enum handled
logger_register(struct http_request *req)
{
	struct problem_fields *bad = problem_fields(req);
	struct account_new from;
	struct account account;
	struct jsonr *body;
	struct jsonw w;

	if (body_object_or_reply(req, &body) != OK)
		return ANSWERED;
	account_form_new(req, bad, body, ACCOUNT_USERNAME, &from);
	check_confirm(bad, body, &from);
	if (problem_fields_any(bad))
		return problem_fields_reply(bad);
	if (account_register_or_reply(req, &from, &account, NULL) != OK)
		return ANSWERED;
	jsonw_init(&w, &req->out);
	jsonw_object(&w);
	jsonw_kv(&w, "username", account.username);
	jsonw_kv(&w, "email", account.email);
	jsonw_end_object(&w);
	return response_json(req, 201);
}

static enum handled
reply_tokens(struct http_request *req, const struct account_tokens *tokens)
{
	struct jsonw w;

	jsonw_init(&w, &req->out);
	jsonw_object(&w);
	jsonw_kv(&w, "refresh", tokens->refresh);
	jsonw_kv(&w, "access", tokens->access);
	jsonw_end_object(&w);
	return response_json(req, 200);
}

enum handled
logger_login(struct http_request *req)
{
	struct account_secret password;
	struct account_tokens tokens;
	struct account account;
	const char *login;
	enum err err;

	err = account_form_login_or_reply(req, "username", &login, &password);
	if (err == OK)
		err = account_login_or_reply(req, login, &password, &account,
		    &tokens);
	return err == OK ? reply_tokens(req, &tokens) : ANSWERED;
}

enum handled
logger_refresh(struct http_request *req)
{
	struct account_tokens tokens;
	const char *refresh;
	enum err err;

	err = account_form_refresh_or_reply(req, "refresh", &refresh);
	if (err == OK)
		err = account_refresh_or_reply(req, refresh, &tokens);
	return err == OK ? reply_tokens(req, &tokens) : ANSWERED;
}

enum handled
logger_profile_get(struct http_request *req)
{
	struct account account;
	struct jsonw w;

	if (account_load_or_reply(req, &account) != OK)
		return ANSWERED;
	jsonw_init(&w, &req->out);
	jsonw_object(&w);
	jsonw_kv(&w, "id", account.id_text);
	jsonw_kv(&w, "username", account.username);
	jsonw_kv(&w, "email", account.email);
	jsonw_end_object(&w);
	return response_json(req, 200);
}

/* What is not sent stays; a username that was the e-mail stays the e-mail. */
static void
read_names(struct http_request *req, struct problem_fields *bad,
    const struct jsonr *body, const struct account *account,
    struct account_change *out)
{
	const char *email, *username;
	bool email_good = account_form_email(req, bad, body, &email);
	bool username_good = account_form_username(req, bad, body, &username);

	if (!email_good || !username_good)
		return;
	if (email == NULL && username == NULL)
		return;
	out->email = email == NULL ? account->email : email;
	out->username = username == NULL ? account->username : username;
	if (username == NULL && strchr(account->username, '@') != NULL)
		out->username = out->email;
	if (!account_form_agree(out->username, out->email))
		problem_field(bad, "username",
		    "must be the e-mail when it has an @");
}

static void
read_password(struct http_request *req, struct problem_fields *bad,
    const struct jsonr *body, const struct account *account,
    struct account_change *out)
{
	const struct jsonr *value = jsonr_get(body, "new_password");
	const struct account_new of = {
		.email = out->username == NULL ? account->email : out->email,
		.username =
		    out->username == NULL ? account->username : out->username,
	};

	if (value == NULL || jsonr_kind(value) == JSONR_NULL)
		return;
	out->field = "current_password";
	account_form_secret(bad, body, out->field, &out->current);
	account_form_password(req, body, "new_password", &of, &out->password);
}

enum handled
logger_profile_put(struct http_request *req)
{
	struct problem_fields *bad = problem_fields(req);
	struct account_change change = { .username = NULL };
	struct account account;
	struct jsonr *body;

	if (body_object_or_reply(req, &body) != OK ||
	    account_load_or_reply(req, &account) != OK)
		return ANSWERED;
	read_names(req, bad, body, &account, &change);
	read_password(req, bad, body, &account, &change);
	if (problem_fields_any(bad))
		return problem_fields_reply(bad);
	if ((change.password.text != NULL || change.username != NULL) &&
	    account_change_or_reply(req, &change) != OK)
		return ANSWERED;
	return logger_profile_get(req);
}
