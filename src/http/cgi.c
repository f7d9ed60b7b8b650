/*
 * cgi.c - the plain CGI transport: environment and stdin in, stdout out.
 */
#include "http/cgi.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#define DRAIN_MAX ((size_t)16 * 1024 * 1024) /* of a body that is too large */

static enum err
cgi_write(struct http_request *req, const void *data, size_t len)
{
	const char *at = data;

	(void)req;
	while (len > 0) {
		ssize_t sent = write(STDOUT_FILENO, at, len);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return ERR_GONE;
		at += sent;
		len -= (size_t)sent;
	}
	return OK;
}

static enum err
cgi_flush(struct http_request *req)
{
	(void)req; /* nothing is held back */
	return OK;
}

static bool
cgi_writable(struct http_request *req)
{
	struct pollfd out = { .fd = STDOUT_FILENO, .events = POLLOUT };

	(void)req;
	return poll(&out, 1, 0) > 0;
}

static int
cgi_fd(struct http_request *req)
{
	(void)req;
	return -1; /* a pipe or a file: nobody leaves early */
}

static void
cgi_finish(struct http_request *req)
{
	request_free(req);
}

static const struct http_transport cgi_transport = {
	.name = "cgi",
	.write = cgi_write,
	.flush = cgi_flush,
	.writable = cgi_writable,
	.fd = cgi_fd,
	.finish = cgi_finish,
};

/* Up to len bytes of stdin into out; fewer at its end or on an error. */
static size_t
read_stdin(char *out, size_t len)
{
	size_t got = 0;

	while (got < len) {
		ssize_t count = read(STDIN_FILENO, out + got, len - got);

		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			break;
		got += (size_t)count;
	}
	return got;
}

/* So that a server that still writes the body does not fail on the pipe. */
static void
drain_stdin(size_t len)
{
	char trash[4096];

	if (len > DRAIN_MAX)
		len = DRAIN_MAX;
	while (len > 0) {
		size_t want = len < sizeof(trash) ? len : sizeof(trash);

		if (read_stdin(trash, want) < want)
			return;
		len -= want;
	}
}

/* What is wrong with the body goes to req->fail; ERR_MEMORY is the only
 * failure. */
static enum err
read_body(struct http_request *req, size_t len, size_t max)
{
	char *body;

	if (len > max) {
		drain_stdin(len);
		(void)request_fail(req, ERR_TOO_LARGE, "body of %zu", len);
		return OK;
	}
	if (len == 0)
		return OK;
	body = arena_alloc(req->arena, len + 1);
	if (body == NULL)
		return ERR_MEMORY;
	if (read_stdin(body, len) < len) {
		(void)request_fail(req, ERR_INPUT, "body cut short");
		return OK;
	}
	req->body = body;
	req->body_len = len;
	return OK;
}

static enum err
fill(struct http_request *req, const char *const *envp, size_t body_max)
{
	enum err err = request_from_cgi(req, envp);
	size_t len;

	if (err != OK && err != ERR_INPUT)
		return err;
	if (request_body_length(envp, &len) != OK) {
		(void)request_fail(req, ERR_INPUT, "CONTENT_LENGTH");
		return OK;
	}
	return read_body(req, len, body_max);
}

enum err
cgi_read(const char *const *envp, size_t body_max, struct http_request **out)
{
	struct http_request *req = request_new();
	enum err err;

	if (req == NULL)
		return ERR_MEMORY;
	(void)signal(SIGPIPE, SIG_IGN); /* write says it */
	req->transport = &cgi_transport;
	err = fill(req, envp, body_max);
	if (err == OK)
		*out = req;
	else
		request_free(req);
	return err;
}
