/*
 * request.c - a request's life: made by a transport, read by handlers, ended
 * by request_finish().
 */
#include "http/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "http/envp.h"
#include "http/response.h"

#define LOG_FIELDS_MAX 14

struct http_request *
request_new(void)
{
	struct arena *arena = arena_new();
	struct http_request *req;

	req = arena_alloc(arena, sizeof(*req));
	if (req == NULL) {
		arena_free(arena);
		return NULL;
	}
	req->arena = arena;
	req->started_us = clock_mono_us();
	req->path = "/";
	req->broken_path = "/";
	req->query_text = "";
	req->content_type = "";
	req->remote_addr = "";
	req->scheme = "http";
	req->host = "localhost";
	req->body = "";
	req->bad.req = req;
	buf_init(&req->out_headers, RESPONSE_HEADERS_MAX);
	buf_init(&req->out, RESPONSE_BODY_MAX);
	return req;
}

void
request_free(struct http_request *req)
{
	if (req == NULL)
		return;
	buf_fini(&req->out_headers);
	buf_fini(&req->out);
	arena_free(req->arena);
}

enum err
request_from_cgi(struct http_request *req, const char *const *envp)
{
	return envp_read(req, envp);
}

enum err
request_body_length(const char *const *envp, size_t *len)
{
	const char *text = envp_get(envp, "CONTENT_LENGTH");
	size_t value = 0;

	*len = 0;
	if (text == NULL)
		return OK;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9' || value > SIZE_MAX / 20)
			return ERR_INPUT;
		value = value * 10 + (size_t)(*text - '0');
	}
	*len = value;
	return OK;
}

const char *
request_header(const struct http_request *req, const char *name)
{
	for (size_t i = 0; i < req->header_count; i++) {
		if (strcmp(req->headers[i].name, name) == 0)
			return req->headers[i].value;
	}
	return NULL;
}

const char *
request_query(const struct http_request *req, const char *name)
{
	for (size_t i = 0; i < req->query_count; i++) {
		if (strcmp(req->query[i].name, name) == 0)
			return req->query[i].value;
	}
	return NULL;
}

const char *
request_param(const struct http_request *req, const char *name)
{
	for (size_t i = 0; i < req->param_count; i++) {
		if (strcmp(req->params[i].name, name) == 0)
			return req->params[i].value;
	}
	return "";
}

enum err
request_param_uuid(struct http_request *req, const char *name, struct uuid *id,
    const char **text)
{
	char canonical[UUID_TEXT_SIZE];

	if (uuid_parse(request_param(req, name), id) != OK)
		return ERR_MISSING;
	if (text == NULL)
		return OK;
	uuid_text(id, canonical);
	*text = arena_strdup(req->arena, canonical);
	return *text == NULL ? ERR_MEMORY : OK;
}

char *
request_vprintf(struct http_request *req, const char *fmt, va_list args)
{
	char *text = NULL;
	char *copy;

	if (vasprintf(&text, fmt, args) < 0)
		return NULL;
	copy = arena_strdup(req->arena, text);
	free(text);
	return copy;
}

enum err
request_fail(struct http_request *req, enum err err, const char *fmt, ...)
{
	const char *text;
	va_list args;
	size_t len;

	if (req->fail.err != OK)
		return err;
	req->fail.err = err;
	va_start(args, fmt);
	text = request_vprintf(req, fmt, args);
	va_end(args);
	if (text == NULL)
		return err;
	len = strnlen(text, sizeof(req->fail.detail) - 1);
	memcpy(req->fail.detail, text, len);
	req->fail.detail[len] = '\0';
	return err;
}

struct log_line {
	struct log_field fields[LOG_FIELDS_MAX];
	int count;
};

static void
line_text(struct log_line *line, const char *name, const char *text)
{
	if (text != NULL && *text != '\0')
		line->fields[line->count++] =
		    (struct log_field){ .name = name, .text = text };
}

static void
line_int(struct log_line *line, const char *name, int64_t number)
{
	line->fields[line->count++] =
	    (struct log_field){ .name = name, .number = number };
}

static void
log_request(const struct http_request *req)
{
	struct log_line line = { .count = 0 };

	line_text(&line, "id", req->id);
	line_text(&line, "method", req->method_text);
	line_text(&line, "route", req->route_pattern);
	line_int(&line, "status", req->status);
	line_int(&line, "us", clock_mono_us() - req->started_us);
	if (req->fail.err != OK)
		line_text(&line, "err", err_name(req->fail.err));
	line_text(&line, "detail", req->fail.detail);
	if (req->gone)
		line_int(&line, "gone", 1);
	line_text(&line, "user", req->who.user_text);
	line_text(&line, "model", req->log_model);
	if (req->log_model != NULL)
		line_int(&line, "tokens", req->log_tokens);
	line_text(&line, "call", req->log_call);
	line_text(&line, "address", req->remote_addr);
	log_fields(LOG_INFO, "request", line.fields, line.count);
}

void
request_finish(struct http_request *req)
{
	bool (*before)(struct http_request *, void *) = req->before_send;

	req->before_send = NULL;
	if (before != NULL && before(req, req->before_send_arg))
		return;
	if (!req->streaming && response_send(req) != OK)
		req->gone = true;
	log_request(req);
	if (req->on_finish != NULL)
		req->on_finish(req, req->on_finish_arg);
	req->transport->finish(req);
}
