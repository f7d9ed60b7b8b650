/*
 * account_form.c - what clients send about accounts, read and checked.
 */
#include "api/account_form.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "api/app.h"
#include "auth/password.h"
#include "http/body.h"

#define EMAIL_MAX      320
#define USERNAME_MAX   150
#define MADE_MAX       64 /* of a username from an e-mail */
#define NAME_MAX_CHARS 200
#define FULL_NAME_MAX  400
#define LOGIN_MAX      400
#define REFRESH_MAX    4096

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* text without blanks around it, in the arena; NULL without memory. */
static char *
trim(struct http_request *req, const char *text)
{
	size_t len;

	while (is_blank(*text))
		text++;
	len = strlen(text);
	while (len > 0 && is_blank(text[len - 1]))
		len--;
	return arena_strndup(req->arena, text, len);
}

/* Member name of at most max characters; NULL when not sent or null.  False
 * when that was a fault. */
static bool
body_text(struct problem_fields *bad, const struct jsonr *body,
    const char *name, int64_t max, const char **out)
{
	const struct jsonr *value = jsonr_get(body, name);

	*out = NULL;
	if (value == NULL || jsonr_kind(value) == JSONR_NULL)
		return true;
	body_string(bad, body, name, OPTIONAL, 0, max, out);
	return *out != NULL;
}

static bool
is_domain(const char *domain)
{
	const char *dot = strchr(domain, '.');
	size_t len = strlen(domain);

	return dot != NULL && dot != domain && domain[len - 1] != '.' &&
	       strstr(domain, "..") == NULL;
}

bool
account_form_is_email(const char *text)
{
	const char *at = strchr(text, '@');

	if (strlen(text) > EMAIL_MAX || at == NULL || at == text ||
	    strchr(at + 1, '@') != NULL)
		return false;
	for (const char *c = text; *c != '\0'; c++) {
		if (*c <= ' ' || *c > '~' ||
		    strchr("<>()[]\\,;:\"", *c) != NULL)
			return false;
	}
	return is_domain(at + 1);
}

bool
account_form_email(struct http_request *req, struct problem_fields *bad,
    const struct jsonr *body, const char **out)
{
	const char *sent = NULL;
	char *email;

	*out = NULL;
	if (!body_text(bad, body, "email", EMAIL_MAX + 80, &sent))
		return false;
	if (sent == NULL)
		return true;
	email = trim(req, sent);
	if (email != NULL && *email == '\0')
		return true;
	if (email == NULL || !account_form_is_email(email)) {
		problem_field(bad, "email", "must be an e-mail address");
		return false;
	}
	for (char *c = email; *c != '\0'; c++)
		*c = (char)tolower((unsigned char)*c);
	*out = email;
	return true;
}

static bool
has_control(const char *text)
{
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return true;
	}
	return false;
}

bool
account_form_username(struct http_request *req, struct problem_fields *bad,
    const struct jsonr *body, const char **out)
{
	const char *sent = NULL;
	char *username;

	*out = NULL;
	if (!body_text(bad, body, "username", USERNAME_MAX, &sent))
		return false;
	if (sent == NULL)
		return true;
	username = trim(req, sent);
	if (username == NULL || *username == '\0' || has_control(username)) {
		problem_field(bad, "username",
		    "must be a name without control characters");
		return false;
	}
	*out = username;
	return true;
}

bool
account_form_agree(const char *username, const char *email)
{
	return strchr(username, '@') == NULL ||
	       (email != NULL && strcasecmp(username, email) == 0);
}

void
account_form_secret(struct problem_fields *bad, const struct jsonr *body,
    const char *name, struct account_secret *out)
{
	const struct jsonr *value = jsonr_get(body, name);

	*out = (struct account_secret){ .text = NULL };
	if (value == NULL || jsonr_kind(value) == JSONR_NULL)
		problem_field(bad, name, "is required");
	else if (jsonr_string(value, &out->text, &out->len) != OK)
		problem_field(bad, name, "must be a string");
}

/* An e-mail or a username, trimmed; a fault of member name without one. */
static const char *
read_login(struct http_request *req, const struct jsonr *body, const char *name)
{
	struct problem_fields *bad = problem_fields(req);
	const char *sent = NULL;

	body_string(bad, body, "email", OPTIONAL, 0, LOGIN_MAX, &sent);
	if (sent == NULL)
		body_string(bad, body, "username", OPTIONAL, 0, LOGIN_MAX,
		    &sent);
	if (sent != NULL)
		return trim(req, sent);
	if (!problem_fields_any(bad))
		problem_field(bad, name, "is required");
	return NULL;
}

enum err
account_form_login_or_reply(struct http_request *req, const char *name,
    const char **login, struct account_secret *password)
{
	struct problem_fields *bad = problem_fields(req);
	struct jsonr *body;
	enum err err = body_object_or_reply(req, &body);

	if (err != OK)
		return err;
	*login = read_login(req, body, name);
	account_form_secret(bad, body, "password", password);
	if (*login != NULL && !problem_fields_any(bad))
		return OK;
	if (problem_fields_any(bad))
		(void)problem_fields_reply(bad);
	else
		(void)problem_of(req, ERR_MEMORY);
	return ERR_INPUT;
}

void
account_form_names(struct problem_fields *bad, const struct jsonr *body,
    const char **first, const char **last)
{
	*first = NULL;
	*last = NULL;
	body_string(bad, body, "firstName", OPTIONAL, 0, NAME_MAX_CHARS, first);
	body_string(bad, body, "lastName", OPTIONAL, 0, NAME_MAX_CHARS, last);
}

void
account_form_password(struct http_request *req, const struct jsonr *body,
    const char *name, const struct account_new *of, struct account_secret *out)
{
	struct problem_fields *bad = problem_fields(req);
	size_t min = (size_t)req->app->config->password_min;
	const char *fault;

	account_form_secret(bad, body, name, out);
	if (out->text == NULL)
		return;
	if (out->len < min) {
		problem_field(bad, name, "must have at least %zu bytes", min);
		return;
	}
	fault =
	    password_refuse(out->text, out->len, min, of->email, of->username);
	if (fault != NULL)
		problem_field(bad, name, "%s", fault);
}

static void
check_names(struct http_request *req, struct problem_fields *bad,
    unsigned needs, struct account_new *out)
{
	if ((needs & ACCOUNT_EMAIL) != 0 && out->email == NULL)
		problem_field(bad, "email", "is required");
	if ((needs & ACCOUNT_USERNAME) != 0 && out->username == NULL)
		problem_field(bad, "username", "is required");
	if (out->username != NULL) {
		if (!account_form_agree(out->username, out->email))
			problem_field(bad, "username",
			    "must be the e-mail when it has an @");
		return;
	}
	if (out->email == NULL)
		return;
	size_t len = strcspn(out->email, "@");

	out->username = arena_strndup(req->arena, out->email,
	    len < MADE_MAX ? len : MADE_MAX);
	out->username_made = true;
}

void
account_form_new(struct http_request *req, struct problem_fields *bad,
    const struct jsonr *body, unsigned needs, struct account_new *out)
{
	memset(out, 0, sizeof(*out));
	/* a wrong one is named there, and is not missing */
	if (!account_form_email(req, bad, body, &out->email))
		needs &= ~(unsigned)ACCOUNT_EMAIL;
	if (!account_form_username(req, bad, body, &out->username))
		needs &= ~(unsigned)ACCOUNT_USERNAME;
	check_names(req, bad, needs, out);
	account_form_password(req, body, "password", out, &out->password);
	account_form_names(bad, body, &out->first_name, &out->last_name);
	body_string(bad, body, "fullName", OPTIONAL, 0, FULL_NAME_MAX,
	    &out->name);
	body_string(bad, body, "name", OPTIONAL, 0, FULL_NAME_MAX, &out->name);
	body_string(bad, body, "organizationId", OPTIONAL, 0, NAME_MAX_CHARS,
	    &out->organization_id);
}

enum err
account_form_refresh_or_reply(struct http_request *req, const char *name,
    const char **refresh)
{
	static const char *const names[] = { "refreshToken", "refresh_token",
		"refresh" };
	struct problem_fields *bad = problem_fields(req);
	struct jsonr *body;
	enum err err = body_object_or_reply(req, &body);

	*refresh = NULL;
	for (size_t i = 0; err == OK && *refresh == NULL && i < 3; i++)
		body_string(bad, body, names[i], OPTIONAL, 1, REFRESH_MAX,
		    refresh);
	if (err != OK)
		return err;
	if (*refresh == NULL && !problem_fields_any(bad))
		problem_field(bad, name, "is required");
	if (!problem_fields_any(bad))
		return OK;
	(void)problem_fields_reply(bad);
	return ERR_INPUT;
}
