/*
 * messages.c - the messages of a chat: add, add many, list, read, change,
 * delete.
 */
#include "api/messages.h"

#include <inttypes.h>
#include <string.h>

#include "api/idempotency.h"
#include "api/message.h"
#include "api/pages.h"
#include "base/uuid.h"
#include "db/db.h"
#include "http/body.h"
#include "http/problem.h"
#include "http/query.h"
#include "http/response.h"
#include "json/write.h"

#define BATCH_MAX   1000
#define FAULTY_MAX  100 /* messages of a batch whose faults are told */
#define RECORDS_MAX ((size_t)256 * 1024 * 1024)

/* A batch has the keys of 1000 messages. */
static const struct gate_limits batch_limits = {
	.depth = 64,
	.keys = 200000,
	.values = 800000,
};

static const char *const roles[] = { "user", "assistant", "system", "function",
	"tool", NULL };
static const char *const sort_orders[] = { "asc", "desc", NULL };

static const struct page_order orders[] = {
	{ "asc", PAGE_ID },
	{ "desc", PAGE_ID },
};

static enum handled
refuse(struct http_request *req, enum err err, const char *what)
{
	if (err == ERR_MISSING)
		return problem_reply(req, err, "there is no such %s", what);
	(void)request_fail(req, err, "messages: %s",
	    db_fault(req->db)->sqlstate);
	return problem_of(req, err);
}

/* The ids of the path into args[1] and, for a message, args[2]. */
static enum err
read_chat_id(struct http_request *req, const char *args[])
{
	struct uuid id;

	return request_param_uuid(req, "chatId", &id, &args[1]);
}

static enum err
read_ids(struct http_request *req, const char *args[])
{
	struct uuid id;
	enum err err = read_chat_id(req, args);

	if (err != OK)
		return err;
	return request_param_uuid(req, "id", &id, &args[2]);
}

static enum err
give_id(struct http_request *req, struct message *message)
{
	char *text = arena_alloc(req->arena, UUID_TEXT_SIZE);
	struct uuid id;

	if (text == NULL)
		return ERR_MEMORY;
	if (uuid_make(&id) != OK)
		return ERR_SYSTEM;
	uuid_text(&id, text);
	message->id = text;
	return OK;
}

enum err
messages_ask_id(struct http_request *req, const char *chat_id,
    struct message *message)
{
	char *text = arena_alloc(req->arena, UUID_TEXT_SIZE);
	char before[UUID_TEXT_SIZE];
	const char *args[] = { req->who.user_text, chat_id, before };
	struct uuid id;
	enum err err;

	if (text == NULL)
		return ERR_MEMORY;
	if (idempotency_marked(req, &id)) {
		uuid_text(&id, before);
		err = db_query(req->db, DB_MESSAGES_FORGET, args, NULL);
		if (err != OK)
			return err;
	}
	err = idempotency_mark(req, &id);
	if (err != OK)
		return err;
	uuid_text(&id, text);
	message->id = text;
	return OK;
}

static enum err
insert(struct http_request *req, const char *const *args,
    struct message *messages, size_t count)
{
	struct db_rows *rows = NULL;
	const char *time = NULL;
	enum err err = db_query(req->db, DB_MESSAGES_ADD, args, &rows);

	if (err == OK && rows_count(rows) == 0)
		err = ERR_MISSING;
	if (err == OK) {
		time = arena_strdup(req->arena, rows_text(rows, 0, 0));
		err = time == NULL ? ERR_MEMORY : OK;
	}
	for (size_t i = 0; i < count; i++) {
		messages[i].created = time;
		messages[i].updated = time;
	}
	rows_free(rows);
	return err;
}

enum err
messages_add(struct http_request *req, const char *chat_id,
    struct message *messages, size_t count)
{
	const char *args[4] = { req->who.user_text, chat_id };
	struct buf records;
	struct jsonw w;
	enum err err = OK;

	buf_init(&records, RECORDS_MAX);
	jsonw_init(&w, &records);
	jsonw_array(&w);
	for (size_t i = 0; err == OK && i < count; i++) {
		if (messages[i].id == NULL)
			err = give_id(req, &messages[i]);
		messages[i].chat_id = chat_id;
		message_write_record(&w, &messages[i]);
	}
	jsonw_end_array(&w);
	args[2] = buf_str(&records);
	args[3] = arena_printf(req->arena, "%zu", count);
	if (err == OK && (!buf_ok(&records) || args[3] == NULL))
		err = ERR_MEMORY;
	if (err == OK)
		err = insert(req, args, messages, count);
	buf_fini(&records);
	return err;
}

/* To the chat of the path. */
static enum err
add(struct http_request *req, struct message *messages, size_t count)
{
	const char *args[2];
	enum err err = read_chat_id(req, args);

	return err != OK ? err : messages_add(req, args[1], messages, count);
}

/* {"message":text, <first>:{...}, <second>:{...}}, the same message twice. */
static void
reply_message(struct http_request *req, int status, const char *text,
    const char *const names[2], const struct message *message)
{
	struct jsonw w;

	jsonw_init(&w, &req->out);
	jsonw_object(&w);
	jsonw_kv(&w, "message", text);
	for (size_t i = 0; i < 2; i++) {
		jsonw_key(&w, names[i]);
		message_write(&w, message);
	}
	jsonw_end_object(&w);
	(void)response_json(req, status);
}

enum handled
messages_create(struct http_request *req)
{
	static const char *const names[2] = { "data", "messageObj" };
	struct problem_fields *bad = problem_fields(req);
	struct message message;
	struct jsonr *body;
	enum err err;

	if (body_object_or_reply(req, &body) != OK)
		return ANSWERED;
	message_read(bad, body, &message);
	if (problem_fields_any(bad))
		return problem_fields_reply(bad);
	err = add(req, &message, 1);
	if (err != OK)
		return refuse(req, err, "chat");
	reply_message(req, 201, "Message added successfully", names, &message);
	return ANSWERED;
}

static void
read_one(struct problem_fields *bad, const struct jsonr *item, size_t index,
    struct message *out)
{
	if (jsonr_kind(item) == JSONR_OBJECT) {
		bad->prefix =
		    arena_printf(bad->req->arena, "messages[%zu].", index);
		message_read(bad, item, out);
	} else {
		bad->prefix =
		    arena_printf(bad->req->arena, "messages[%zu]", index);
		problem_field(bad, "", "must be an object");
	}
	bad->prefix = NULL;
}

/* NULL without memory, or when bad tells. */
static struct message *
read_many(struct problem_fields *bad, const struct jsonr *body, size_t *count)
{
	const struct jsonr *items = jsonr_get(body, "messages");
	struct message *messages;
	size_t faulty = 0;

	*count = jsonr_count(items);
	if (jsonr_kind(items) != JSONR_ARRAY || *count < 1 ||
	    *count > BATCH_MAX) {
		problem_field(bad, "messages",
		    "must be an array of 1 to %d messages", BATCH_MAX);
		return NULL;
	}
	messages = arena_alloc(bad->req->arena, *count * sizeof(messages[0]));
	for (size_t i = 0;
	     messages != NULL && i < *count && faulty < FAULTY_MAX; i++) {
		const struct problem_item *last = bad->last;

		read_one(bad, jsonr_at(items, i), i, &messages[i]);
		faulty += bad->last != last;
	}
	return messages;
}

static void
reply_many(struct http_request *req, const struct message *messages,
    size_t count)
{
	struct jsonw w;

	jsonw_init(&w, &req->out);
	jsonw_object(&w);
	jsonw_kv(&w, "message",
	    arena_printf(req->arena, "%zu messages added successfully", count));
	jsonw_kv_int(&w, "count", (int64_t)count);
	jsonw_key(&w, "messages");
	jsonw_array(&w);
	for (size_t i = 0; i < count; i++)
		message_write(&w, &messages[i]);
	jsonw_end_array(&w);
	jsonw_end_object(&w);
	(void)response_json(req, 201);
}

enum handled
messages_create_many(struct http_request *req)
{
	struct problem_fields *bad = problem_fields(req);
	struct message *messages;
	struct jsonr *body;
	size_t count;
	enum err err;

	if (body_object_within_or_reply(req, &batch_limits, &body) != OK)
		return ANSWERED;
	messages = read_many(bad, body, &count);
	if (problem_fields_any(bad))
		return problem_fields_reply(bad);
	if (messages == NULL)
		return problem_of(req, ERR_MEMORY);
	err = add(req, messages, count);
	if (err != OK)
		return refuse(req, err, "chat");
	reply_many(req, messages, count);
	return ANSWERED;
}

static void
write_row(struct jsonw *w, const struct db_rows *rows, size_t row,
    const char *chat_id)
{
	struct message_row found;

	message_from_row(rows, row, 1, chat_id, &found);
	message_write(w, &found.message);
}

enum handled
messages_list(struct http_request *req)
{
	struct problem_fields *bad = problem_fields(req);
	const char *args[7] = { req->who.user_text };
	const char *order = "asc";
	struct db_rows *rows = NULL;
	struct page page;
	bool newest;
	enum err err;

	query_word(req, bad, "role", roles, &args[2]);
	query_word(req, bad, "sortOrder", sort_orders, &order);
	newest = strcmp(order, "desc") == 0;
	err = pages_read(req, bad, &orders[newest], &page);
	if (err == OK && problem_fields_any(bad))
		return problem_fields_reply(bad);
	args[3] = page.after;
	args[4] = page.limit;
	args[5] = page.offset;
	args[6] = page.total;
	if (err == OK)
		err = read_chat_id(req, args);
	if (err == OK)
		err = db_query(req->db,
		    newest ? DB_MESSAGES_LIST_NEWEST : DB_MESSAGES_LIST, args,
		    &rows);
	if (err == OK && rows_count(rows) == 0)
		err = ERR_MISSING;
	if (err == OK)
		(void)pages_reply(req, &page,
		    &(struct page_shape){
			"messages", "totalMessages", 1, 0, write_row, args[1] },
		    rows);
	else
		(void)refuse(req, err, "chat");
	rows_free(rows);
	return ANSWERED;
}

enum handled
messages_get(struct http_request *req)
{
	const char *args[3] = { req->who.user_text };
	struct db_rows *rows = NULL;
	struct message_row found;
	struct jsonw w;
	enum err err = read_ids(req, args);

	if (err == OK)
		err = db_query(req->db, DB_MESSAGES_GET, args, &rows);
	if (err == OK && rows_count(rows) == 0)
		err = ERR_MISSING;
	if (err == OK) {
		message_from_row(rows, 0, 0, args[1], &found);
		jsonw_init(&w, &req->out);
		jsonw_object(&w);
		jsonw_key(&w, "message");
		message_write(&w, &found.message);
		jsonw_end_object(&w);
		(void)response_json(req, 200);
	} else {
		(void)refuse(req, err, "message");
	}
	rows_free(rows);
	return ANSWERED;
}

/* The row's metadata, locked, with what was sent put over it. */
static enum err
merge_metadata(struct http_request *req, const char *const *ids,
    const char *change, const char **out)
{
	struct db_rows *rows = NULL;
	enum err err = db_query(req->db, DB_MESSAGES_LOCK, ids, &rows);

	if (err == OK && rows_count(rows) == 0)
		err = ERR_MISSING;
	if (err == OK) {
		*out = message_merge(req->arena, rows_text(rows, 0, 0), change);
		if (*out == NULL)
			err = ERR_MEMORY;
		else if (strlen(*out) > MESSAGE_METADATA_MAX)
			err = ERR_TOO_LARGE;
	}
	rows_free(rows);
	return err;
}

static const char *
count_text(struct http_request *req, int64_t count)
{
	return count < 0 ? NULL : arena_printf(req->arena, "%" PRId64, count);
}

/* In one transaction, because the old metadata is read first. */
static enum err
change(struct http_request *req, const struct message *changes,
    const char **chat_id, struct db_rows **rows)
{
	const char *args[9] = { req->who.user_text, NULL, NULL,
		changes->content, NULL, count_text(req, changes->tokens),
		count_text(req, changes->prompt_tokens),
		count_text(req, changes->completion_tokens),
		count_text(req, changes->latency) };
	enum err err = read_ids(req, args);

	if (err != OK)
		return err;
	*chat_id = args[1];
	if (changes->metadata == NULL)
		return db_query(req->db, DB_MESSAGES_UPDATE, args, rows);
	err = db_begin(req->db);
	if (err != OK)
		return err;
	err = merge_metadata(req, args, changes->metadata, &args[4]);
	if (err == OK)
		err = db_query(req->db, DB_MESSAGES_UPDATE, args, rows);
	return db_end(req->db, err);
}

enum handled
messages_update(struct http_request *req)
{
	static const char *const names[2] = { "data", "updatedMessage" };
	struct problem_fields *bad = problem_fields(req);
	struct db_rows *rows = NULL;
	struct message changes;
	struct message_row changed;
	const char *chat_id = NULL;
	struct jsonr *body;
	enum err err;

	if (body_object_or_reply(req, &body) != OK)
		return ANSWERED;
	message_read_change(bad, body, &changes);
	if (problem_fields_any(bad))
		return problem_fields_reply(bad);
	err = change(req, &changes, &chat_id, &rows);
	if (err == OK && rows_count(rows) == 0)
		err = ERR_MISSING;
	if (err == ERR_TOO_LARGE) {
		problem_field(bad, "metadata",
		    "must have at most %d bytes once merged",
		    MESSAGE_METADATA_MAX);
		(void)problem_fields_reply(bad);
	} else if (err != OK) {
		(void)refuse(req, err, "message");
	} else {
		message_from_row(rows, 0, 0, chat_id, &changed);
		reply_message(req, 200, "Message updated successfully", names,
		    &changed.message);
	}
	rows_free(rows);
	return ANSWERED;
}

enum handled
messages_delete(struct http_request *req)
{
	const char *args[3] = { req->who.user_text };
	struct db_rows *rows = NULL;
	struct jsonw w;
	enum err err = read_ids(req, args);

	if (err == OK)
		err = db_query(req->db, DB_MESSAGES_DELETE, args, &rows);
	if (err == OK && rows_count(rows) == 0)
		err = ERR_MISSING;
	rows_free(rows);
	if (err != OK)
		return refuse(req, err, "message");
	jsonw_init(&w, &req->out);
	jsonw_object(&w);
	jsonw_kv(&w, "message", "Message deleted successfully");
	jsonw_end_object(&w);
	return response_json(req, 200);
}
