/*
 * body.c - reading a JSON object body, field by field.
 */
#include "http/body.h"

#include <inttypes.h>
#include <string.h>

#include "http/check.h"

static bool
is_json_type(const char *type)
{
	size_t len = strlen(type);

	if (strcmp(type, "application/json") == 0)
		return true;
	return len > 5 && strcmp(type + len - 5, "+json") == 0;
}

static enum err
reply_unsupported(struct http_request *req)
{
	(void)problem_reply(req, ERR_MEDIA,
	    "the body must have the Content-Type application/json");
	return ERR_MEDIA;
}

static enum err
reply_invalid(struct http_request *req, const struct gate_result *why)
{
	const char *detail = arena_printf(req->arena, "%s (at byte %zu)",
	    gate_fault_text(why->fault), why->offset);
	const struct problem problem = {
		.err = ERR_INPUT,
		.code = "invalid_json",
		.detail = detail != NULL ? detail : gate_fault_text(why->fault),
	};

	(void)problem_send(req, &problem);
	return request_fail(req, ERR_INPUT, "body: %s at byte %zu",
	    gate_fault_text(why->fault), why->offset);
}

static enum err
reply_no_object(struct http_request *req)
{
	const struct problem problem = {
		.err = ERR_INPUT,
		.code = "invalid_json",
		.detail = "the body must be a JSON object",
	};

	(void)problem_send(req, &problem);
	return ERR_INPUT;
}

enum err
body_object_within_or_reply(struct http_request *req,
    const struct gate_limits *limits, struct jsonr **body)
{
	struct gate_result why;
	struct jsonr *value;
	enum err err;

	if (req->body_len > 0 && !is_json_type(req->content_type))
		return reply_unsupported(req);
	err = jsonr_parse_within(req->arena, req->body, req->body_len, limits,
	    &value, &why);
	if (err == ERR_INPUT)
		return reply_invalid(req, &why);
	if (err != OK) {
		(void)problem_of(req, err);
		return err;
	}
	if (jsonr_kind(value) != JSONR_OBJECT)
		return reply_no_object(req);
	*body = value;
	return OK;
}

enum err
body_object_or_reply(struct http_request *req, struct jsonr **body)
{
	return body_object_within_or_reply(req, &jsonr_limits, body);
}

/* The member, or NULL when it was not sent, which may be a fault. */
static const struct jsonr *
member(struct problem_fields *bad, const struct jsonr *object, const char *name,
    enum body_need need)
{
	const struct jsonr *value = jsonr_get(object, name);

	if (value != NULL && jsonr_kind(value) != JSONR_NULL)
		return value;
	if (need == REQUIRED)
		problem_field(bad, name, "is required");
	return NULL;
}

/* A field is read in one line, which is worth the parameters.
 * NOLINTBEGIN(readability-function-size) */

void
body_string(struct problem_fields *bad, const struct jsonr *object,
    const char *name, enum body_need need, int64_t min, int64_t max,
    const char **out)
{
	const struct jsonr *value = member(bad, object, name, need);
	const int64_t range[2] = { min, max };
	const char *text;
	size_t len;

	if (value == NULL)
		return;
	if (jsonr_string(value, &text, &len) != OK) {
		problem_field(bad, name, "must be a string");
		return;
	}
	if (check_length(bad, name, text, len, range))
		*out = text;
}

void
body_word(struct problem_fields *bad, const struct jsonr *object,
    const char *name, enum body_need need, const char *const *words,
    const char **out)
{
	const struct jsonr *value = member(bad, object, name, need);
	const char *text;

	if (value == NULL)
		return;
	if (jsonr_string(value, &text, NULL) != OK) {
		problem_field(bad, name, "must be a string");
		return;
	}
	text = check_word(bad, name, text, words);
	if (text != NULL)
		*out = text;
}

void
body_int(struct problem_fields *bad, const struct jsonr *object,
    const char *name, enum body_need need, int64_t min, int64_t max,
    int64_t *out)
{
	const struct jsonr *value = member(bad, object, name, need);

	if (value == NULL)
		return;
	if (jsonr_int(value, min, max, out) != OK)
		check_number_fault(bad, name, min, max);
}

void
body_bool(struct problem_fields *bad, const struct jsonr *object,
    const char *name, enum body_need need, bool *out)
{
	const struct jsonr *value = member(bad, object, name, need);

	if (value == NULL)
		return;
	if (jsonr_bool(value, out) != OK)
		problem_field(bad, name, "must be true or false");
}

void
body_any(struct problem_fields *bad, const struct jsonr *object,
    const char *name, int64_t max, const char **out)
{
	const struct jsonr *value = jsonr_get(object, name);
	const char *text;
	size_t len;

	if (value == NULL)
		return;
	jsonr_raw(value, &text, &len);
	if ((uint64_t)len > (uint64_t)max) {
		problem_field(bad, name, "must have at most %" PRId64 " bytes",
		    max);
		return;
	}
	text = jsonr_text(value);
	if (text == NULL)
		problem_field(bad, name, "cannot be kept now");
	else
		*out = text;
}

/* NOLINTEND(readability-function-size) */
