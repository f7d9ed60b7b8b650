/*
 * fuzz_fcgi.c - a whole request through a socketpair that speaks FastCGI.
 *
 * Input: a mode byte, the size of a record's content, lines "NAME=value", an
 * empty line, the body.  The records around it are well-formed, except that
 * the mode can cut them: libfcgi trusts its peer's framing, so that is not
 * fuzzed.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "http/fcgi.h"
#include "http/problem.h"
#include "http/response.h"

#define INPUT_MAX 8192 /* fits the socket in records of one byte each */
#define BODY_MAX  2048

enum { BEGIN = 1, PARAMS = 4, STDIN = 5 };
enum { MODE_KEEP = 1, MODE_CUT = 2, MODE_STREAM = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static void
add_record(struct buf *out, int type, const void *data, size_t len)
{
	unsigned char header[8] = { 1, (unsigned char)type, 0, 1,
		(unsigned char)(len >> 8), (unsigned char)len, 0, 0 };

	buf_add(out, header, sizeof(header));
	buf_add(out, data, len);
}

/* data in records of at most size bytes, and the empty one. */
static void
add_stream(struct buf *out, int type, const struct buf *data, size_t size)
{
	for (size_t at = 0; at < data->len; at += size) {
		size_t left = data->len - at;

		add_record(out, type, data->data + at,
		    left < size ? left : size);
	}
	add_record(out, type, "", 0);
}

static void
add_length(struct buf *out, size_t len)
{
	if (len >= 128) {
		buf_addc(out, (char)(len >> 24 | 0x80));
		buf_addc(out, (char)(len >> 16));
		buf_addc(out, (char)(len >> 8));
	}
	buf_addc(out, (char)len);
}

static void
add_param(struct buf *out, const char *line, size_t len)
{
	const char *equals = memchr(line, '=', len);
	size_t name_len = equals == NULL ? len : (size_t)(equals - line);
	size_t value_len = equals == NULL ? 0 : len - name_len - 1;

	add_length(out, name_len);
	add_length(out, value_len);
	buf_add(out, line, name_len);
	if (value_len > 0)
		buf_add(out, equals + 1, value_len);
}

/* The lines up to an empty one; returns what follows it. */
static const char *
add_params(struct buf *out, const char *at, const char *end)
{
	while (at < end) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));

		if (stop == NULL)
			stop = end;
		if (stop == at)
			return at + 1;
		add_param(out, at, (size_t)(stop - at));
		at = stop < end ? stop + 1 : end;
	}
	return end;
}

static void
make_records(struct buf *out, const char *data, size_t len)
{
	const char begin[8] = { 0, 1, (char)(data[0] & MODE_KEEP), 0, 0, 0, 0,
		0 };
	const char *end = data + len;
	size_t size = (size_t)(unsigned char)data[1] * 8 + 1;
	struct buf params, body;
	const char *rest;

	buf_init(&params, 2 * INPUT_MAX);
	buf_init(&body, INPUT_MAX);
	rest = add_params(&params, data + 2, end);
	buf_add(&body, rest, (size_t)(end - rest));
	add_record(out, BEGIN, begin, sizeof(begin));
	add_stream(out, PARAMS, &params, size);
	add_stream(out, STDIN, &body, size);
	if ((data[0] & MODE_CUT) != 0)
		out->len -= out->len / 3;
	buf_fini(&params);
	buf_fini(&body);
}

static void
on_after(struct fcgi_conn *conn, bool keep, void *arg)
{
	int *calls = arg;

	if (!keep && fcgi_conn_fd(conn) != -1)
		abort();
	++*calls;
}

static void
answer(struct http_request *req, bool stream)
{
	if (req->path == NULL && req->fail.err != ERR_INPUT)
		abort();
	if (req->body == NULL || req->id[0] == '\0')
		abort();
	if (req->body_len > BODY_MAX || strlen(req->body) > req->body_len)
		abort();
	if (req->fail.err != OK) {
		(void)problem_of(req, req->fail.err);
	} else if (stream) {
		if (stream_begin(req, 200, "text/event-stream") == OK &&
		    stream_write(req, req->body, req->body_len) != OK)
			abort();
	} else {
		response_header(req, "X-Path", req->path);
		(void)response_json_text(req, 200, req->body, req->body_len);
	}
	request_finish(req);
}

static void
check_answer(int fd)
{
	static char bytes[16384];
	ssize_t got = recv(fd, bytes, sizeof(bytes) - 1, MSG_DONTWAIT);

	if (got < 32)
		abort();
	bytes[got] = '\0';
	if (bytes[1] != 6 || memcmp(bytes + 8, "Status: ", 8) != 0)
		abort();
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_setup(LOG_ERROR, "fuzz");
	return fcgi_setup() == OK ? 0 : 1;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct http_request *req = NULL;
	struct fcgi_conn *conn;
	struct buf records;
	int ends[2], calls = 0;

	if (len < 2 || len > INPUT_MAX)
		return 0;
	buf_init(&records, (size_t)1024 * 1024);
	make_records(&records, (const char *)data, len);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
		abort();
	conn = fcgi_conn_new(ends[1], on_after, &calls);
	if (send(ends[0], records.data, records.len, MSG_DONTWAIT) !=
		(ssize_t)records.len ||
	    shutdown(ends[0], SHUT_WR) != 0)
		abort();
	if (fcgi_read(conn, BODY_MAX, &req) == OK) {
		answer(req, (data[0] & MODE_STREAM) != 0);
		check_answer(ends[0]);
		if (calls != 1)
			abort();
	}
	fcgi_conn_free(conn);
	(void)close(ends[0]);
	buf_fini(&records);
	return 0;
}
