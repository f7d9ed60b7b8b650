/*
 * chats.c - conversations: create, list, search, read, change, delete.
 *
 * Every statement names the user, so another user's chat is one that is not
 * there.
 */
#include "api/chats.h"

#include <string.h>

#include "api/pages.h"
#include "base/uuid.h"
#include "db/db.h"
#include "http/body.h"
#include "http/check.h"
#include "http/problem.h"
#include "http/query.h"
#include "http/response.h"
#include "json/write.h"

#define TITLE_MAX    100
#define TAGS_MAX     50
#define TAG_MAX      100 /* characters */
#define METADATA_MAX (64 * 1024)
#define QUERY_MAX    256
#define SEPARATOR    0x1f /* of title and tags in search_text */

static const char *const sources[] = { "web", "mobile", "api", "widget", NULL };
static const char *const booleans[] = { "true", "false", NULL };
static const char *const sort_keys[] = { "createdAt", "updatedAt", "title",
	NULL };
static const char *const sort_orders[] = { "asc", "desc", NULL };

static const struct page_order orders[] = {
	{ "createdAt desc", PAGE_TIME }, /* unless asked for another */
	{ "createdAt asc", PAGE_TIME },
	{ "updatedAt desc", PAGE_TIME },
	{ "updatedAt asc", PAGE_TIME },
	{ "title desc", PAGE_TEXT },
	{ "title asc", PAGE_TEXT },
};

static enum handled
refuse(struct http_request *req, enum err err)
{
	if (err == ERR_MISSING)
		return problem_reply(req, err, "there is no such chat");
	(void)request_fail(req, err, "chats: %s", db_fault(req->db)->sqlstate);
	return problem_of(req, err);
}

/* As chats are: `{"message":...,"chat":{...}}`; without message only chat. */
static void
reply_chat(struct http_request *req, int status, const char *message,
    const struct db_rows *rows)
{
	struct jsonw w;

	jsonw_init(&w, &req->out);
	jsonw_object(&w);
	if (message != NULL)
		jsonw_kv(&w, "message", message);
	jsonw_key(&w, "chat");
	jsonw_raw(&w, rows_text(rows, 0, 0), rows_len(rows, 0, 0));
	jsonw_end_object(&w);
	(void)response_json(req, status);
}

static void
check_tags(struct problem_fields *bad, const struct jsonr *tags)
{
	const int64_t range[2] = { 1, TAG_MAX };
	size_t count = jsonr_count(tags);
	const char *text;
	size_t len;

	if (jsonr_kind(tags) != JSONR_ARRAY) {
		problem_field(bad, "tags", "must be an array of strings");
		return;
	}
	if (count > TAGS_MAX) {
		problem_field(bad, "tags", "must have at most %d elements",
		    TAGS_MAX);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		const char *field =
		    arena_printf(bad->req->arena, "tags[%zu]", i);

		if (field == NULL)
			field = "tags";
		if (jsonr_string(jsonr_at(tags, i), &text, &len) != OK)
			problem_field(bad, field, "must be a string");
		else
			(void)check_length(bad, field, text, len, range);
	}
}

/* The text of a JSON array of strings; *out stays when they are not sent. */
static void
read_tags(struct problem_fields *bad, const struct jsonr *body,
    const char **out)
{
	const struct jsonr *tags = jsonr_get(body, "tags");

	if (jsonr_kind(tags) == JSONR_NULL)
		return;
	check_tags(bad, tags);
	*out = jsonr_text(tags);
}

enum handled
chats_create(struct http_request *req)
{
	struct problem_fields *bad = problem_fields(req);
	const char *args[6] = { req->who.user_text, NULL, NULL, "web", "[]",
		"{}" };
	struct db_rows *rows = NULL;
	char id_text[UUID_TEXT_SIZE];
	struct jsonr *body;
	struct uuid id;
	enum err err;

	if (body_object_or_reply(req, &body) != OK)
		return ANSWERED;
	body_string(bad, body, "title", REQUIRED, 1, TITLE_MAX, &args[2]);
	body_word(bad, body, "source", OPTIONAL, sources, &args[3]);
	read_tags(bad, body, &args[4]);
	body_any(bad, body, "metadata", METADATA_MAX, &args[5]);
	if (problem_fields_any(bad))
		return problem_fields_reply(bad);
	err = uuid_make(&id);
	if (err != OK)
		return problem_of(req, err);
	uuid_text(&id, id_text);
	args[1] = id_text;
	err = db_query(req->db, DB_CHATS_CREATE, args, &rows);
	if (err == OK)
		reply_chat(req, 201, "Chat session created successfully", rows);
	else
		(void)refuse(req, err);
	rows_free(rows);
	return ANSWERED;
}

/* A statement on the chat of the path, which args[1] is to name. */
static enum err
query_chat(struct http_request *req, enum db_stmt stmt, const char *args[],
    struct db_rows **rows)
{
	struct uuid id;
	enum err err = request_param_uuid(req, "id", &id, &args[1]);

	if (err == OK)
		err = db_query(req->db, stmt, args, rows);
	if (err == OK && rows_count(*rows) == 0)
		err = ERR_MISSING;
	return err;
}

enum handled
chats_get(struct http_request *req)
{
	const char *args[2] = { req->who.user_text, NULL };
	struct db_rows *rows = NULL;
	enum err err = query_chat(req, DB_CHATS_GET, args, &rows);

	if (err == OK)
		reply_chat(req, 200, NULL, rows);
	else
		(void)refuse(req, err);
	rows_free(rows);
	return ANSWERED;
}

static void
read_active(struct problem_fields *bad, const struct jsonr *body,
    const char **out)
{
	const struct jsonr *value = jsonr_get(body, "isActive");
	bool active = false;

	body_bool(bad, body, "isActive", OPTIONAL, &active);
	if (jsonr_kind(value) == JSONR_BOOL)
		*out = active ? "true" : "false";
}

enum handled
chats_update(struct http_request *req)
{
	struct problem_fields *bad = problem_fields(req);
	const char *args[6] = { req->who.user_text };
	struct db_rows *rows = NULL;
	struct jsonr *body;
	enum err err;

	if (body_object_or_reply(req, &body) != OK)
		return ANSWERED;
	body_string(bad, body, "title", OPTIONAL, 1, TITLE_MAX, &args[2]);
	read_tags(bad, body, &args[3]);
	body_any(bad, body, "metadata", METADATA_MAX, &args[4]);
	read_active(bad, body, &args[5]);
	if (problem_fields_any(bad))
		return problem_fields_reply(bad);
	err = query_chat(req, DB_CHATS_UPDATE, args, &rows);
	if (err == OK)
		reply_chat(req, 200, "Chat updated successfully", rows);
	else
		(void)refuse(req, err);
	rows_free(rows);
	return ANSWERED;
}

enum handled
chats_delete(struct http_request *req)
{
	const char *args[2] = { req->who.user_text, NULL };
	struct db_rows *rows = NULL;
	struct jsonw w;
	enum err err = query_chat(req, DB_CHATS_DELETE, args, &rows);

	rows_free(rows);
	if (err != OK)
		return refuse(req, err);
	jsonw_init(&w, &req->out);
	jsonw_object(&w);
	jsonw_kv(&w, "message",
	    "Chat and associated messages deleted successfully");
	jsonw_end_object(&w);
	return response_json(req, 200);
}

static void
write_row(struct jsonw *w, const struct db_rows *rows, size_t row,
    const char *parent)
{
	(void)parent;
	jsonw_raw(w, rows_text(rows, row, 1), rows_len(rows, row, 1));
}

static const struct page_shape shape = { "chats", "totalChats", 2, 3, write_row,
	NULL };

static enum handled
reply_page(struct http_request *req, enum db_stmt stmt, const char *const *args,
    const struct page *page)
{
	struct db_rows *rows = NULL;
	enum err err = db_query(req->db, stmt, args, &rows);

	if (err == OK)
		(void)pages_reply(req, page, &shape, rows);
	else
		(void)refuse(req, err);
	rows_free(rows);
	return ANSWERED;
}

/* The default order when what was asked for is wrong: bad tells. */
static const struct page_order *
read_order(struct http_request *req, struct problem_fields *bad)
{
	const char *key = "createdAt";
	const char *order = "desc";
	const char *name;

	query_word(req, bad, "sortBy", sort_keys, &key);
	query_word(req, bad, "sortOrder", sort_orders, &order);
	name = arena_printf(req->arena, "%s %s", key, order);
	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++)
		if (name != NULL && strcmp(orders[i].name, name) == 0)
			return &orders[i];
	return &orders[0];
}

enum handled
chats_list(struct http_request *req)
{
	struct problem_fields *bad = problem_fields(req);
	const struct page_order *order = read_order(req, bad);
	const char *active = NULL;
	struct page page;

	query_word(req, bad, "isActive", booleans, &active);
	if (pages_read(req, bad, order, &page) != OK)
		return problem_of(req, ERR_MEMORY);
	if (problem_fields_any(bad))
		return problem_fields_reply(bad);
	if (order == &orders[0] && active == NULL)
		return reply_page(req, DB_CHATS_LIST,
		    (const char *const[]){ req->who.user_text, page.time,
			page.after, page.limit, page.offset, page.total },
		    &page);
	return reply_page(req, DB_CHATS_LIST_SORTED,
	    (const char *const[]){ req->who.user_text, active, order->name,
		page.time, page.text, page.after, page.limit, page.offset,
		page.total },
	    &page);
}

/* What is looked for, as a pattern; NULL without memory or when bad tells. */
static const char *
read_pattern(struct http_request *req, struct problem_fields *bad)
{
	const int64_t range[2] = { 1, QUERY_MAX };
	const char *text = request_query(req, "query");

	if (text == NULL) {
		problem_field(bad, "query", "is required");
		return NULL;
	}
	if (!check_length(bad, "query", text, strlen(text), range))
		return NULL;
	if (strchr(text, SEPARATOR) != NULL) {
		problem_field(bad, "query", "must not have control characters");
		return NULL;
	}
	return query_like(req, text);
}

enum handled
chats_search(struct http_request *req)
{
	struct problem_fields *bad = problem_fields(req);
	const char *pattern = read_pattern(req, bad);
	struct page page;

	if (pages_read(req, bad, &orders[0], &page) != OK)
		return problem_of(req, ERR_MEMORY);
	if (problem_fields_any(bad))
		return problem_fields_reply(bad);
	if (pattern == NULL)
		return problem_of(req, ERR_MEMORY);
	return reply_page(req, DB_CHATS_SEARCH,
	    (const char *const[]){ req->who.user_text, pattern, page.time,
		page.after, page.limit, page.offset, page.total },
	    &page);
}
