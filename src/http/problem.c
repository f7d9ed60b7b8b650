/*
 * problem.c - the HTTP face of every error, and the three shapes of an error
 * body.
 */
#include "http/problem.h"

#include <string.h>

#include "http/response.h"
#include "json/write.h"

#define FAULTS_MAX 4096 /* bytes of them in the detail of an answer */

struct face {
	int status;
	const char *slug; /* public and stable: clients match on it */
	const char *title;
	const char *code; /* under /v1; NULL: the slug */
	const char *detail;
};

/* clang-format off */
static const struct face faces[ERR_COUNT] = {
	[OK]            = { 200, "ok", "OK", NULL, "" },
	[ERR_INPUT]     = { 400, "invalid_request", "Bad Request", NULL,
			    "The request is not valid." },
	[ERR_AUTH]      = { 401, "unauthorized", "Unauthorized",
			    "invalid_api_key",
			    "A valid access token or API key is required." },
	[ERR_FORBIDDEN] = { 403, "forbidden", "Forbidden", NULL,
			    "This credential does not allow that." },
	[ERR_MISSING]   = { 404, "not_found", "Not Found", NULL,
			    "There is no such thing." },
	[ERR_METHOD]    = { 405, "method_not_allowed", "Method Not Allowed",
			    NULL, "This path does not take that method." },
	[ERR_CONFLICT]  = { 409, "conflict", "Conflict", NULL,
			    "It exists already." },
	[ERR_TOO_LARGE] = { 413, "too_large", "Content Too Large", NULL,
			    "The request body is too large." },
	[ERR_MEDIA]     = { 415, "unsupported_media_type",
			    "Unsupported Media Type", NULL,
			    "The body must be application/json." },
	[ERR_LIMIT]     = { 429, "rate_limited", "Too Many Requests",
			    "rate_limit_exceeded",
			    "Too many requests: try again later." },
	[ERR_BUSY]      = { 503, "unavailable", "Service Unavailable", NULL,
			    "The service is busy: try again later." },
	[ERR_UPSTREAM]  = { 502, "upstream_failed", "Bad Gateway", NULL,
			    "The model provider failed." },
	[ERR_TIMEOUT]   = { 504, "timeout", "Gateway Timeout", NULL,
			    "The answer took too long." },
	[ERR_GONE]      = { 499, "client_closed_request",
			    "Client Closed Request", NULL,
			    "The client closed the connection." },
	[ERR_MEMORY]    = { 503, "unavailable", "Service Unavailable", NULL,
			    "The service is busy: try again later." },
	[ERR_SYSTEM]    = { 500, "internal_error", "Internal Server Error",
			    NULL, "Something failed on the server." },
	[ERR_BUG]       = { 500, "internal_error", "Internal Server Error",
			    NULL, "Something failed on the server." },
};

/* The type of OpenAI's and of Anthropic's shape; the last row is for the rest
 * of 4xx and 5xx. */
static const struct {
	int status;
	const char *openai;
	const char *anthropic;
} types[] = {
	{ 401, "authentication_error",  "authentication_error" },
	{ 403, "permission_error",      "permission_error" },
	{ 404, "invalid_request_error", "not_found_error" },
	{ 413, "invalid_request_error", "request_too_large" },
	{ 429, "rate_limit_error",      "rate_limit_error" },
	{ 503, "server_error",          "overloaded_error" },
	{ 504, "server_error",          "timeout_error" },
};
/* clang-format on */

struct problem_item {
	struct problem_item *next;
	const char *field;
	const char *message;
};

static const struct face *
face_of(enum err err)
{
	return (unsigned)err < ERR_COUNT ? &faces[err] : &faces[ERR_BUG];
}

int
problem_status(enum err err)
{
	return face_of(err)->status;
}

const char *
problem_slug(enum err err)
{
	return face_of(err)->slug;
}

enum shape { SHAPE_PROBLEM, SHAPE_OPENAI, SHAPE_ANTHROPIC };

/* path is prefix or below it. */
static bool
is_below(const char *path, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncmp(path, prefix, len) == 0 &&
	       (path[len] == '\0' || path[len] == '/');
}

static enum shape
shape_of(const struct http_request *req)
{
	const char *path = req->path != NULL ? req->path : req->broken_path;

	if (is_below(path, "/v1/messages"))
		return SHAPE_ANTHROPIC;
	return is_below(path, "/v1") ? SHAPE_OPENAI : SHAPE_PROBLEM;
}

static const char *
type_of(int status, enum shape shape)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (types[i].status == status)
			return shape == SHAPE_OPENAI ? types[i].openai
						     : types[i].anthropic;
	}
	if (status < 500)
		return "invalid_request_error";
	return shape == SHAPE_OPENAI ? "server_error" : "api_error";
}

static void
write_openai(struct http_request *req, const struct problem *p)
{
	struct jsonw w;

	jsonw_init(&w, &req->out);
	jsonw_object(&w);
	jsonw_key(&w, "error");
	jsonw_object(&w);
	jsonw_kv(&w, "message", p->detail);
	jsonw_kv(&w, "type",
	    p->type != NULL ? p->type : type_of(p->status, SHAPE_OPENAI));
	jsonw_kv(&w, "param", p->param);
	jsonw_kv(&w, "code", p->code);
	jsonw_end_object(&w);
	jsonw_end_object(&w);
}

static void
write_anthropic(struct http_request *req, const struct problem *p)
{
	struct jsonw w;

	jsonw_init(&w, &req->out);
	jsonw_object(&w);
	jsonw_kv(&w, "type", "error");
	jsonw_key(&w, "error");
	jsonw_object(&w);
	jsonw_kv(&w, "type", type_of(p->status, SHAPE_ANTHROPIC));
	jsonw_kv(&w, "message", p->detail);
	jsonw_end_object(&w);
	jsonw_kv(&w, "request_id", req->id);
	jsonw_end_object(&w);
}

static void
write_items(struct jsonw *w, const struct problem_fields *bad)
{
	if (bad->first == NULL)
		return;
	jsonw_key(w, "errors");
	jsonw_array(w);
	for (const struct problem_item *item = bad->first; item != NULL;
	     item = item->next) {
		jsonw_object(w);
		jsonw_kv(w, "field", item->field);
		jsonw_kv(w, "message", item->message);
		jsonw_end_object(w);
	}
	jsonw_end_array(w);
}

static void
write_problem(struct http_request *req, const struct problem *p)
{
	struct jsonw w;

	jsonw_init(&w, &req->out);
	jsonw_object(&w);
	jsonw_kv(&w, "type", "about:blank");
	jsonw_kv(&w, "title", face_of(p->err)->title);
	jsonw_kv_int(&w, "status", p->status);
	jsonw_kv(&w, "detail", p->detail);
	jsonw_kv(&w, "code", p->code);
	jsonw_kv(&w, "message", p->detail);
	jsonw_kv(&w, "request_id", req->id);
	write_items(&w, &req->bad);
	jsonw_end_object(&w);
}

static void
write_shape(struct http_request *req, const struct problem *p, enum shape shape)
{
	if (shape == SHAPE_OPENAI)
		write_openai(req, p);
	else if (shape == SHAPE_ANTHROPIC)
		write_anthropic(req, p);
	else
		write_problem(req, p);
}

enum handled
problem_send(struct http_request *req, const struct problem *p)
{
	const struct face *face = face_of(p->err);
	enum shape shape = shape_of(req);
	struct problem full = *p;

	(void)request_fail(req, p->err, "%s", face->slug);
	if (req->streaming)
		return ANSWERED; /* too late: the stream ends without its end */
	if (full.status == 0)
		full.status = face->status;
	if (full.code == NULL)
		full.code = shape != SHAPE_PROBLEM && face->code != NULL
				? face->code
				: face->slug;
	if (full.detail == NULL)
		full.detail = face->detail;
	if (full.retry_after > 0 && !response_has_header(req, "Retry-After"))
		response_headerf(req, "Retry-After", "%d", full.retry_after);
	buf_reset(&req->out);
	write_shape(req, &full, shape);
	return response_type(req, full.status,
	    shape == SHAPE_PROBLEM ? "application/problem+json"
				   : "application/json");
}

enum handled
problem_reply(struct http_request *req, enum err err, const char *fmt, ...)
{
	struct problem p = { .err = err };
	va_list args;

	va_start(args, fmt);
	p.detail = request_vprintf(req, fmt, args);
	va_end(args);
	return problem_send(req, &p);
}

enum handled
problem_of(struct http_request *req, enum err err)
{
	return problem_send(req, &(struct problem){ .err = err });
}

struct problem_fields *
problem_fields(struct http_request *req)
{
	return &req->bad;
}

void
problem_field(struct problem_fields *bad, const char *field, const char *fmt,
    ...)
{
	struct problem_item *item;
	va_list args;

	bad->any = true;
	item = arena_alloc(bad->req->arena, sizeof(*item));
	if (item == NULL)
		return; /* still a 400, without this line */
	va_start(args, fmt);
	item->message = request_vprintf(bad->req, fmt, args);
	va_end(args);
	item->field = arena_printf(bad->req->arena, "%s%s",
	    bad->prefix == NULL ? "" : bad->prefix, field);
	if (item->message == NULL || item->field == NULL)
		return;
	if (bad->last != NULL)
		bad->last->next = item;
	else
		bad->first = item;
	bad->last = item;
}

bool
problem_fields_any(const struct problem_fields *bad)
{
	return bad->any;
}

/* "title must have ...; page must be ..."; of very many, the first ones. */
static const char *
all_faults(struct problem_fields *bad)
{
	const char *text = NULL;
	struct buf all;

	buf_init(&all, FAULTS_MAX + 1024);
	for (const struct problem_item *item = bad->first; item != NULL;
	     item = item->next) {
		if (all.len > FAULTS_MAX) {
			buf_adds(&all, "; ...");
			break;
		}
		buf_addf(&all, "%s%s %s", all.len == 0 ? "" : "; ", item->field,
		    item->message);
	}
	if (buf_ok(&all) && all.len > 0)
		text = arena_strdup(bad->req->arena, all.data);
	buf_fini(&all);
	return text;
}

enum handled
problem_fields_reply(struct problem_fields *bad)
{
	struct problem p = { .err = ERR_INPUT, .detail = all_faults(bad) };

	if (bad->first != NULL)
		p.param = bad->first->field;
	return problem_send(bad->req, &p);
}
