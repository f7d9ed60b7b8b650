/*
 * apikeys.c - API keys: the whole key is in the answer that makes it, and
 * nowhere after.
 */
#include "api/apikeys.h"

#include <string.h>

#include "api/account_store.h"
#include "api/audit.h"
#include "auth/cache.h"
#include "base/clock.h"
#include "http/body.h"
#include "http/problem.h"
#include "http/query.h"
#include "http/response.h"
#include "json/write.h"

#define NAME_CHARS   100
#define PAGE_DEFAULT 1000
#define PAGE_MAX     200
#define SCOPES_MAX   8
#define TIME_CHARS   40

/* What may be set; NULL leaves it as it is. */
struct form {
	const char *name;
	const char *expires_at;
	const char *scopes; /* array literal */
	bool no_expiry;     /* expires_at was null */
	bool has_active, active;
};

static void
read_active(struct problem_fields *bad, const struct jsonr *body,
    struct form *form)
{
	const struct jsonr *value = jsonr_get(body, "is_active");

	form->active = true;
	if (value == NULL || jsonr_kind(value) == JSONR_NULL)
		return;
	form->has_active = true;
	body_bool(bad, body, "is_active", OPTIONAL, &form->active);
}

static void
read_expiry(struct http_request *req, struct problem_fields *bad,
    const struct jsonr *body, struct form *form)
{
	const struct jsonr *value = jsonr_get(body, "expires_at");
	const char *sent = NULL;
	char text[CLOCK_TEXT_SIZE];
	int64_t at_us;

	if (value == NULL)
		return;
	form->no_expiry = jsonr_kind(value) == JSONR_NULL;
	body_string(bad, body, "expires_at", OPTIONAL, 1, TIME_CHARS, &sent);
	if (sent == NULL)
		return;
	if (clock_parse(sent, &at_us) != OK) {
		problem_field(bad, "expires_at",
		    "must be a time as in RFC 3339");
		return;
	}
	if (at_us <= clock_wall_us()) {
		problem_field(bad, "expires_at", "must be in the future");
		return;
	}
	clock_text(at_us, text);
	form->expires_at = arena_strdup(req->arena, text);
}

/* The words are known, so they need no quotes in the literal. */
static void
read_scopes(struct http_request *req, struct problem_fields *bad,
    const struct jsonr *body, struct form *form)
{
	const struct jsonr *value = jsonr_get(body, "scopes");
	const char *list = "", *word;
	size_t count = jsonr_count(value);

	if (value == NULL || jsonr_kind(value) == JSONR_NULL)
		return;
	if (jsonr_kind(value) != JSONR_ARRAY || count > SCOPES_MAX) {
		problem_field(bad, "scopes", "must be an array of words");
		return;
	}
	for (size_t i = 0; i < count; i++) {
		if (jsonr_string(jsonr_at(value, i), &word, NULL) != OK ||
		    scope_of_word(word) == SCOPE_OTHER) {
			problem_field(bad, "scopes",
			    "must be of \"ingest\", \"calls\", \"data\"");
			return;
		}
		list = arena_printf(req->arena, "%s%s%s", list,
		    i == 0 ? "" : ",", word);
	}
	form->scopes = arena_printf(req->arena, "{%s}", list);
}

static void
read_form(struct http_request *req, struct problem_fields *bad,
    const struct jsonr *body, enum body_need name_need, struct form *form)
{
	memset(form, 0, sizeof(*form));
	body_string(bad, body, "name", name_need, 1, NAME_CHARS, &form->name);
	read_active(bad, body, form);
	read_expiry(req, bad, body, form);
	read_scopes(req, bad, body, form);
}

static enum handled
reply_err(struct http_request *req, enum err err)
{
	(void)account_db_reply(req, err);
	return ANSWERED;
}

/* --- reading ---------------------------------------------------------- */

enum handled
apikeys_list(struct http_request *req)
{
	struct problem_fields *bad = problem_fields(req);
	const char *args[] = { req->who.user_text, NULL, NULL };
	int64_t limit = PAGE_DEFAULT;
	struct db_rows *rows = NULL;
	struct uuid id;
	enum err err;

	query_int(req, bad, "limit", 1, PAGE_MAX, &limit);
	query_cursor(req, bad, &args[1]);
	if (args[1] != NULL && uuid_parse(args[1], &id) != OK)
		problem_field(bad, "cursor", "must be a cursor of this list");
	if (problem_fields_any(bad))
		return problem_fields_reply(bad);
	args[2] = arena_printf(req->arena, "%lld", (long long)limit);
	err = args[2] == NULL ? ERR_MEMORY
			      : db_query(req->db, DB_APIKEYS_LIST, args, &rows);
	if (err != OK)
		return reply_err(req, err);
	if (!rows_is_null(rows, 0, 1))
		query_link_next(req, rows_text(rows, 0, 1));
	(void)response_json_text(req, 200, rows_text(rows, 0, 0),
	    rows_len(rows, 0, 0));
	rows_free(rows);
	return ANSWERED;
}

static enum handled
reply_key(struct http_request *req, const char *id)
{
	const char *args[] = { req->who.user_text, id };
	struct db_rows *rows = NULL;
	enum err err;

	err = db_query(req->db, DB_APIKEYS_GET, args, &rows);
	if (err == OK && rows_count(rows) == 0)
		err = ERR_MISSING;
	if (err == OK)
		(void)response_json_text(req, 200, rows_text(rows, 0, 0),
		    rows_len(rows, 0, 0));
	rows_free(rows);
	return err == OK ? ANSWERED : reply_err(req, err);
}

enum handled
apikeys_get(struct http_request *req)
{
	const char *id_text;
	struct uuid id;

	if (request_param_uuid(req, "id", &id, &id_text) != OK)
		return problem_of(req, ERR_MISSING);
	return reply_key(req, id_text);
}

/* --- making ----------------------------------------------------------- */

static void
copy_time(const struct db_rows *rows, size_t col, char out[APIKEY_TIME_SIZE])
{
	size_t len = rows_len(rows, 0, col);

	if (!rows_is_null(rows, 0, col) && len < APIKEY_TIME_SIZE)
		memcpy(out, rows_text(rows, 0, col), len + 1);
}

enum err
apikey_insert(struct db *db, const struct apikey_new *from, struct apikey *out)
{
	char hash[SECRET_HASH_SIZE];
	struct db_rows *rows = NULL;
	struct uuid id;
	enum err err;

	memset(out, 0, sizeof(*out));
	err = uuid_make(&id);
	if (err == OK)
		err = secret_key_make(out->key, out->prefix);
	if (err != OK)
		return err;
	uuid_text(&id, out->id);
	secret_hash(out->key, hash);
	const char *args[] = { from->user_id, out->id, from->name, out->prefix,
		hash, from->scopes, from->inactive ? "false" : "true",
		from->expires_at, from->generated ? "true" : "false" };

	err = db_query(db, DB_APIKEYS_CREATE, args, &rows);
	if (err == OK) {
		copy_time(rows, 0, out->created_at);
		copy_time(rows, 1, out->expires_at);
	}
	rows_free(rows);
	return err;
}

static enum err
create(struct http_request *req, const struct form *form, struct apikey *out)
{
	const struct apikey_new from = { .user_id = req->who.user_text,
		.name = form->name,
		.scopes = form->scopes == NULL ? "{}" : form->scopes,
		.expires_at = form->expires_at,
		.inactive = !form->active };
	const struct audit event = { .action = "key_create",
		.user_id = req->who.user_text,
		.object = out->id };
	enum err err;

	err = db_begin(req->db);
	if (err != OK)
		return err;
	err = apikey_insert(req->db, &from, out);
	if (err == OK)
		err = audit_row(req, &event);
	err = db_end(req->db, err);
	if (err == OK)
		audit_line(req, &event);
	return err;
}

/* scopes is the literal {a,b}. */
static void
write_scopes(struct jsonw *w, const char *scopes)
{
	jsonw_array(w);
	for (scopes = scopes == NULL ? "}" : scopes + 1; *scopes != '}';) {
		size_t len = strcspn(scopes, ",}");

		jsonw_string_len(w, scopes, len);
		scopes += len + (scopes[len] == ',');
	}
	jsonw_end_array(w);
}

enum handled
apikeys_create(struct http_request *req)
{
	struct problem_fields *bad = problem_fields(req);
	struct apikey made;
	struct jsonr *body;
	struct form form;
	struct jsonw w;
	enum err err;

	if (body_object_or_reply(req, &body) != OK)
		return ANSWERED;
	read_form(req, bad, body, REQUIRED, &form);
	if (problem_fields_any(bad))
		return problem_fields_reply(bad);
	err = create(req, &form, &made);
	if (err != OK)
		return reply_err(req, err);
	jsonw_init(&w, &req->out);
	jsonw_object(&w);
	jsonw_kv(&w, "id", made.id);
	jsonw_kv(&w, "key", made.key);
	jsonw_kv(&w, "name", form.name);
	jsonw_kv(&w, "prefix", made.prefix);
	jsonw_key(&w, "scopes");
	write_scopes(&w, form.scopes);
	jsonw_kv_bool(&w, "is_active", form.active);
	jsonw_kv(&w, "created_at", made.created_at);
	jsonw_kv(&w, "expires_at",
	    made.expires_at[0] == '\0' ? NULL : made.expires_at);
	jsonw_key(&w, "last_used_at");
	jsonw_null(&w);
	jsonw_end_object(&w);
	explicit_bzero(&made, sizeof(made));
	return response_json(req, 201);
}

/* --- changing --------------------------------------------------------- */

/* Runs stmt, which returns a row for a key of the caller. */
static enum err
change(struct http_request *req, enum db_stmt stmt, const char *const *args,
    const struct audit *event)
{
	struct db_rows *rows = NULL;
	enum err err;

	err = db_begin(req->db);
	if (err != OK)
		return err;
	err = db_query(req->db, stmt, args, &rows);
	if (err == OK && rows_count(rows) == 0)
		err = ERR_MISSING;
	rows_free(rows);
	if (err == OK)
		err = audit_row(req, event);
	err = db_end(req->db, err);
	if (err == OK)
		audit_line(req, event);
	return err;
}

enum handled
apikeys_update(struct http_request *req)
{
	struct problem_fields *bad = problem_fields(req);
	struct audit event = { .action = "key_update",
		.user_id = req->who.user_text };
	struct jsonr *body;
	struct form form;
	struct uuid id;
	enum err err;

	if (request_param_uuid(req, "id", &id, &event.object) != OK)
		return problem_of(req, ERR_MISSING);
	if (body_object_or_reply(req, &body) != OK)
		return ANSWERED;
	read_form(req, bad, body, OPTIONAL, &form);
	if (problem_fields_any(bad))
		return problem_fields_reply(bad);
	const char *active = form.active ? "true" : "false";
	const char *args[] = { req->who.user_text, event.object, form.name,
		form.has_active ? active : NULL, form.expires_at,
		form.no_expiry ? "true" : "false", form.scopes };

	if (form.has_active)
		event.action = form.active ? "key_activate" : "key_revoke";
	err = change(req, DB_APIKEYS_UPDATE, args, &event);
	return err == OK ? reply_key(req, event.object) : reply_err(req, err);
}

enum handled
apikeys_delete(struct http_request *req)
{
	struct audit event = { .action = "key_delete",
		.user_id = req->who.user_text };
	struct uuid id;
	enum err err;

	if (request_param_uuid(req, "id", &id, &event.object) != OK)
		return problem_of(req, ERR_MISSING);
	const char *args[] = { req->who.user_text, event.object };

	err = change(req, DB_APIKEYS_DELETE, args, &event);
	return err == OK ? response_empty(req, 204) : reply_err(req, err);
}
