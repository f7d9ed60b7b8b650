/*
 * response.c - the answer: status, headers, body or stream.
 *
 * Nothing of a whole answer is sent before it is complete, so that what fails
 * on the way can still become an error answer.
 */
#include "http/response.h"

#include <string.h>
#include <strings.h>

#include "http/problem.h"

#define CSP_NOTHING "default-src 'none'; frame-ancestors 'none'"

/* When even an error answer has no memory. */
#define LAST_RESORT                           \
	"Status: 503 Service Unavailable\r\n" \
	"Retry-After: 1\r\n"                  \
	"Content-Length: 0\r\n\r\n"

/* clang-format off */
static const struct {
	int status;
	const char *text;
} reasons[] = {
	{ 200, "OK" },
	{ 201, "Created" },
	{ 202, "Accepted" },
	{ 204, "No Content" },
	{ 206, "Partial Content" },
	{ 207, "Multi-Status" },
	{ 304, "Not Modified" },
	{ 400, "Bad Request" },
	{ 401, "Unauthorized" },
	{ 402, "Payment Required" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 406, "Not Acceptable" },
	{ 408, "Request Timeout" },
	{ 409, "Conflict" },
	{ 410, "Gone" },
	{ 413, "Content Too Large" },
	{ 415, "Unsupported Media Type" },
	{ 422, "Unprocessable Content" },
	{ 429, "Too Many Requests" },
	{ 499, "Client Closed Request" },
	{ 500, "Internal Server Error" },
	{ 501, "Not Implemented" },
	{ 502, "Bad Gateway" },
	{ 503, "Service Unavailable" },
	{ 504, "Gateway Timeout" },
};
/* clang-format on */

static const char *
reason(int status)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (reasons[i].status == status)
			return reasons[i].text;
	}
	return "Other";
}

static bool
is_token(const char *text)
{
	return *text != '\0' &&
	       text[strspn(text,
		   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		   "0123456789-_")] == '\0';
}

/* S-34: no CR, LF or other control character, nothing above 0x7e. */
static bool
is_header_value(const char *text)
{
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text < 0x20 || (unsigned char)*text > 0x7e)
			return false;
	}
	return true;
}

void
response_header(struct http_request *req, const char *name, const char *value)
{
	if (value == NULL || !is_token(name) || !is_header_value(value)) {
		(void)request_fail(req, ERR_BUG, "header %s dropped",
		    is_token(name) ? name : "of a bad name");
		return;
	}
	buf_addf(&req->out_headers, "%s: %s\r\n", name, value);
}

void
response_headerf(struct http_request *req, const char *name, const char *fmt,
    ...)
{
	va_list args;
	char *value;

	va_start(args, fmt);
	value = request_vprintf(req, fmt, args);
	va_end(args);
	response_header(req, name, value);
}

bool
response_has_header(const struct http_request *req, const char *name)
{
	const char *line = buf_str(&req->out_headers);
	size_t len = strlen(name);

	while (*line != '\0') {
		if (strncasecmp(line, name, len) == 0 && line[len] == ':')
			return true;
		line = strchr(line, '\n');
		if (line == NULL)
			return false;
		line++;
	}
	return false;
}

enum handled
response_type(struct http_request *req, int status, const char *content_type)
{
	req->status = status;
	req->out_type = content_type;
	return ANSWERED;
}

enum handled
response_json(struct http_request *req, int status)
{
	return response_type(req, status, "application/json");
}

enum handled
response_json_text(struct http_request *req, int status, const char *json,
    size_t len)
{
	buf_add(&req->out, json, len);
	return response_json(req, status);
}

enum handled
response_empty(struct http_request *req, int status)
{
	buf_reset(&req->out);
	return response_type(req, status, NULL);
}

static void
header_default(struct http_request *req, const char *name, const char *value)
{
	if (!response_has_header(req, name))
		response_header(req, name, value);
}

static bool
is_text(const char *type)
{
	return strncmp(type, "text/", 5) == 0 || strstr(type, "json") != NULL;
}

static bool
has_body(const struct http_request *req)
{
	return req->status != 204 && req->status != 304;
}

static void
add_type(struct http_request *req)
{
	if (req->out_type == NULL || !has_body(req))
		return;
	if (is_text(req->out_type) && strchr(req->out_type, ';') == NULL)
		response_headerf(req, "Content-Type", "%s; charset=utf-8",
		    req->out_type);
	else
		response_header(req, "Content-Type", req->out_type);
}

static void
add_common(struct http_request *req)
{
	add_type(req);
	header_default(req, "X-Request-Id", req->id);
	header_default(req, "X-Content-Type-Options", "nosniff");
	header_default(req, "Content-Security-Policy", CSP_NOTHING);
	if (req->who.credential != CREDENTIAL_NONE)
		header_default(req, "Cache-Control", "no-store");
	if (req->status == 401)
		header_default(req, "WWW-Authenticate", "Bearer");
	if (req->status == 429 || req->status == 503)
		header_default(req, "Retry-After", "1");
}

/* A failed send is final: nothing more goes out. */
static enum err
put(struct http_request *req, const void *data, size_t len)
{
	if (req->gone)
		return ERR_GONE;
	if (len == 0 || req->transport->write(req, data, len) == OK)
		return OK;
	req->gone = true;
	return ERR_GONE;
}

/* The status line; NULL when it or the headers did not fit. */
static const char *
close_head(struct http_request *req)
{
	buf_adds(&req->out_headers, "\r\n");
	if (!buf_ok(&req->out_headers))
		return NULL;
	return arena_printf(req->arena, "Status: %d %s\r\n", req->status,
	    reason(req->status));
}

static enum err
send_head(struct http_request *req, const char *status_line)
{
	enum err err = put(req, status_line, strlen(status_line));

	if (err == OK)
		err = put(req, req->out_headers.data, req->out_headers.len);
	return err;
}

static void
start_over(struct http_request *req, enum err err, const char *why)
{
	(void)request_fail(req, err, "%s", why);
	buf_reset(&req->out);
	buf_reset(&req->out_headers);
	(void)problem_of(req, err);
}

static void
add_whole(struct http_request *req)
{
	if (req->status < 200 || req->status > 599)
		start_over(req, ERR_BUG, "no answer was made");
	else if (!buf_ok(&req->out) || !buf_ok(&req->out_headers))
		start_over(req, ERR_MEMORY, "answer did not fit");
	add_common(req);
	if (has_body(req))
		response_headerf(req, "Content-Length", "%zu", req->out.len);
}

enum err
response_send(struct http_request *req)
{
	const char *status_line;
	enum err err;

	add_whole(req);
	status_line = close_head(req);
	if (status_line == NULL || !buf_ok(&req->out)) {
		req->status = 503;
		(void)request_fail(req, ERR_MEMORY, "headers did not fit");
		return put(req, LAST_RESORT, sizeof(LAST_RESORT) - 1);
	}
	err = send_head(req, status_line);
	if (err == OK && has_body(req) && !req->head)
		err = put(req, req->out.data, req->out.len);
	return err;
}

enum err
stream_begin(struct http_request *req, int status, const char *content_type)
{
	const char *status_line;
	enum err err;

	(void)response_type(req, status, content_type);
	header_default(req, "Cache-Control", "no-store");
	header_default(req, "X-Accel-Buffering", "no");
	add_common(req);
	if (req->copy != NULL)
		buf_add(&req->copy->headers, buf_str(&req->out_headers),
		    req->out_headers.len);
	status_line = close_head(req);
	if (status_line == NULL) {
		buf_reset(&req->out_headers);
		return request_fail(req, ERR_MEMORY, "headers did not fit");
	}
	req->streaming = true;
	err = send_head(req, status_line);
	if (err == OK && req->transport->flush(req) != OK)
		req->gone = true;
	buf_fini(&req->out_headers); /* a stream may last */
	return req->gone ? ERR_GONE : err;
}

enum err
stream_write(struct http_request *req, const void *data, size_t len)
{
	enum err err;

	if (req->gone)
		return ERR_GONE;
	if (req->head)
		return OK;
	if (req->copy != NULL)
		buf_add(&req->copy->body, data, len);
	err = put(req, data, len);
	if (err == OK && req->transport->flush(req) != OK)
		req->gone = true;
	return req->gone ? ERR_GONE : err;
}

bool
stream_writable(struct http_request *req)
{
	return req->gone || req->head || req->transport->writable(req);
}
