/*
 * fcgi.c - the FastCGI transport.
 *
 * libfcgi reads: FCGX_Accept_r() parses a request from the descriptor, whose
 * params and body are copied at once, so that its buffers (20 KiB a request)
 * are given back before a handler runs and a parked request holds none.
 * Answers are framed here with fastcgi.h's records: one system call sends
 * headers, body and end, never blocks past a deadline, and says when nginx has
 * left, which FCGX_FFlush() says only once.
 *
 * The descriptor belongs to struct fcgi_conn, except that libfcgi closes it
 * when it cannot parse.  No close lingers: see accept_on().
 */
#include "http/fcgi.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include <fastcgi.h>
#include <fcgi_config.h>
#include <fcgiapp.h>

#include "base/clock.h"

#define RECEIVE_TIMEOUT_S 10
#define SEND_TIMEOUT_S    30
#define SEND_BUFFER \
	(128 * 1024) /* doubled by Linux; POLLOUT means that
					* a quarter is used at most */
#define DRAIN_MAX     ((size_t)16 * 1024 * 1024)
#define PENDING_MAX   4               /* status, headers, body and one more */
#define RECORD_MAX    ((size_t)65528) /* a multiple of 8: no padding */
#define BATCH_RECORDS 16
#define BATCH_PARTS   (2 * BATCH_RECORDS + PENDING_MAX)

struct fcgi_conn {
	int fd; /* -1 once closed or given away */
	unsigned request_id;
	bool keep; /* nginx wants it and both sides are in step */
	bool gone; /* a send failed: nothing more is sent */
	struct iovec pending[PENDING_MAX]; /* of the answer, borrowed */
	size_t pending_count;
	void (*after)(struct fcgi_conn *conn, bool keep, void *arg);
	void *arg;
};

/* What ends an answer: the empty record of its stream, and the status. */
struct tail {
	FCGI_Header stream_end;
	FCGI_EndRequestRecord request_end;
};

/* Records on their way into one system call. */
struct batch {
	struct fcgi_conn *conn;
	FCGI_Header headers[BATCH_RECORDS];
	size_t header_count;
	size_t room; /* of the record that is open */
	struct iovec parts[BATCH_PARTS];
	size_t part_count;
};

enum err
fcgi_setup(void)
{
	static const int numbers[] = { SIGPIPE, SIGUSR1, SIGTERM };
	struct sigaction before[sizeof(numbers) / sizeof(numbers[0])];
	size_t count = sizeof(numbers) / sizeof(numbers[0]);
	int failed;

	for (size_t i = 0; i < count; i++) {
		if (sigaction(numbers[i], NULL, &before[i]) != 0)
			return ERR_SYSTEM;
	}
	failed = FCGX_Init();
	before[0].sa_handler = SIG_IGN;
	before[0].sa_flags = 0;
	for (size_t i = 0; i < count; i++) {
		if (sigaction(numbers[i], &before[i], NULL) != 0)
			return ERR_SYSTEM;
	}
	return failed != 0 ? ERR_SYSTEM : OK;
}

const char *
fcgi_library_version(void)
{
	return VERSION;
}

struct fcgi_conn *
fcgi_conn_new(int fd,
    void (*after)(struct fcgi_conn *conn, bool keep, void *arg), void *arg)
{
	struct timeval receive = { .tv_sec = RECEIVE_TIMEOUT_S };
	struct timeval send_time = { .tv_sec = SEND_TIMEOUT_S };
	struct fcgi_conn *conn = calloc(1, sizeof(*conn));
	int size = SEND_BUFFER;

	if (conn == NULL)
		return NULL;
	conn->fd = fd;
	conn->after = after;
	conn->arg = arg;
	/* Best effort: each is a bound on a peer that is trusted anyway. */
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &receive,
	    sizeof(receive));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &send_time,
	    sizeof(send_time));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return conn;
}

int
fcgi_conn_fd(const struct fcgi_conn *conn)
{
	return conn->fd;
}

int
fcgi_conn_take_fd(struct fcgi_conn *conn)
{
	int fd = conn->fd;

	conn->fd = -1;
	return fd;
}

static void
close_fd(struct fcgi_conn *conn)
{
	int fd = fcgi_conn_take_fd(conn);

	if (fd >= 0)
		(void)close(fd);
}

void
fcgi_conn_free(struct fcgi_conn *conn)
{
	if (conn == NULL)
		return;
	close_fd(conn);
	free(conn);
}

static void
skip_sent(struct msghdr *message, size_t sent)
{
	while (message->msg_iovlen > 0 && sent >= message->msg_iov->iov_len) {
		sent -= message->msg_iov->iov_len;
		message->msg_iov++;
		message->msg_iovlen--;
	}
	if (message->msg_iovlen > 0) {
		message->msg_iov->iov_base =
		    (char *)message->msg_iov->iov_base + sent;
		message->msg_iov->iov_len -= sent;
	}
}

/* Whether fd takes more before the deadline. */
static bool
wait_writable(int fd, int64_t deadline_us)
{
	struct pollfd out = { .fd = fd, .events = POLLOUT };
	int64_t left_us = deadline_us - clock_mono_us();

	if (left_us <= 0)
		return false;
	return poll(&out, 1, (int)(left_us / 1000) + 1) >= 0 || errno == EINTR;
}

static enum err
send_parts(struct fcgi_conn *conn, struct iovec *parts, size_t count)
{
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = count };
	int64_t deadline_us = 0;

	while (message.msg_iovlen > 0 && !conn->gone) {
		ssize_t sent =
		    sendmsg(conn->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent >= 0) {
			skip_sent(&message, (size_t)sent);
			continue;
		}
		if (errno == EINTR)
			continue;
		if (deadline_us == 0)
			deadline_us =
			    clock_mono_us() + SEND_TIMEOUT_S * 1000000LL;
		if (errno != EAGAIN || !wait_writable(conn->fd, deadline_us))
			conn->gone = true;
	}
	return conn->gone ? ERR_GONE : OK;
}

static FCGI_Header
record_header(const struct fcgi_conn *conn, unsigned char type, size_t len)
{
	return (FCGI_Header){
		.version = FCGI_VERSION_1,
		.type = type,
		.requestIdB1 = (unsigned char)(conn->request_id >> 8),
		.requestIdB0 = (unsigned char)conn->request_id,
		.contentLengthB1 = (unsigned char)(len >> 8),
		.contentLengthB0 = (unsigned char)len,
	};
}

static enum err
batch_send(struct batch *batch)
{
	enum err err = send_parts(batch->conn, batch->parts, batch->part_count);

	batch->header_count = 0;
	batch->part_count = 0;
	batch->room = 0;
	return err;
}

static void
batch_part(struct batch *batch, void *data, size_t len)
{
	batch->parts[batch->part_count++] =
	    (struct iovec){ .iov_base = data, .iov_len = len };
}

/* left bytes of stream data are to come: opens a record for as many as fit. */
static enum err
batch_open(struct batch *batch, size_t left)
{
	size_t len = left < RECORD_MAX ? left : RECORD_MAX;
	FCGI_Header *header;

	if (batch->header_count == BATCH_RECORDS && batch_send(batch) != OK)
		return ERR_GONE;
	header = &batch->headers[batch->header_count++];
	*header = record_header(batch->conn, FCGI_STDOUT, len);
	batch_part(batch, header, sizeof(*header));
	batch->room = len;
	return OK;
}

/* Adds data, part of the left bytes that are to come. */
static enum err
batch_add(struct batch *batch, const struct iovec *data, size_t left)
{
	char *at = data->iov_base;
	size_t len = data->iov_len;

	while (len > 0) {
		size_t take;

		if (batch->room == 0 && batch_open(batch, left) != OK)
			return ERR_GONE;
		take = len < batch->room ? len : batch->room;
		batch_part(batch, at, take);
		batch->room -= take;
		at += take;
		len -= take;
		left -= take;
	}
	return OK;
}

static struct tail
make_tail(const struct fcgi_conn *conn)
{
	return (struct tail){
		.stream_end = record_header(conn, FCGI_STDOUT, 0),
		.request_end = {
			.header = record_header(conn, FCGI_END_REQUEST,
			    sizeof(FCGI_EndRequestBody)),
			.body = { .protocolStatus = FCGI_REQUEST_COMPLETE },
		},
	};
}

/* Sends what is pending, with the end of the answer when last. */
static enum err
send_pending(struct fcgi_conn *conn, bool last)
{
	struct batch batch = { .conn = conn, .header_count = 0 };
	struct tail tail = make_tail(conn);
	enum err err = OK;
	size_t left = 0;

	for (size_t i = 0; i < conn->pending_count; i++)
		left += conn->pending[i].iov_len;
	for (size_t i = 0; i < conn->pending_count && err == OK; i++) {
		err = batch_add(&batch, &conn->pending[i], left);
		left -= conn->pending[i].iov_len;
	}
	conn->pending_count = 0;
	if (err != OK)
		return err;
	if (last)
		batch_part(&batch, &tail, sizeof(tail));
	return batch_send(&batch);
}

static enum err
fcgi_write(struct http_request *req, const void *data, size_t len)
{
	struct fcgi_conn *conn = req->transport_data;

	if (conn->gone)
		return ERR_GONE;
	if (conn->pending_count == PENDING_MAX &&
	    send_pending(conn, false) != OK)
		return ERR_GONE;
	conn->pending[conn->pending_count++] = (struct iovec){
		.iov_base = (void *)(uintptr_t)data, /* only read */
		.iov_len = len,
	};
	return OK;
}

static enum err
fcgi_flush(struct http_request *req)
{
	return send_pending(req->transport_data, false);
}

static bool
fcgi_writable(struct http_request *req)
{
	const struct fcgi_conn *conn = req->transport_data;
	struct pollfd out = { .fd = conn->fd, .events = POLLOUT };

	/* POLLERR and POLLHUP count: then a write says at once that it is
	 * over. */
	return conn->gone || poll(&out, 1, 0) > 0;
}

static int
fcgi_fd(struct http_request *req)
{
	const struct fcgi_conn *conn = req->transport_data;

	return conn->fd;
}

static void
fcgi_finish(struct http_request *req)
{
	struct fcgi_conn *conn = req->transport_data;
	bool keep;

	if (send_pending(conn, true) != OK)
		conn->keep = false;
	request_free(req);
	keep = conn->keep;
	if (!keep)
		close_fd(conn);
	/* Last: another thread may have conn as soon as this is called. */
	conn->after(conn, keep, conn->arg);
}

static const struct http_transport fcgi_transport = {
	.name = "fcgi",
	.write = fcgi_write,
	.flush = fcgi_flush,
	.writable = fcgi_writable,
	.fd = fcgi_fd,
	.finish = fcgi_finish,
};

/*
 * Parses params from conn's descriptor.  On failure libfcgi has closed it (and
 * tried to accept another one from no socket).  Detached requests are closed
 * without waiting up to 2 s for the peer to close first.
 */
static enum err
accept_on(struct fcgi_conn *conn, FCGX_Request *parsed)
{
	int failed;

	(void)FCGX_InitRequest(parsed, -1, 0); /* cannot fail */
	parsed->ipcFd = conn->fd;
	parsed->keepConnection = 1;
	parsed->detached = 1;
	failed = FCGX_Accept_r(parsed);
	/* Params that end early count as read: only the stream knows. */
	if (failed == 0 && FCGX_GetError(parsed->in) == 0)
		return OK;
	if (failed == 0)
		FCGX_Free(parsed, 1);
	conn->fd = parsed->ipcFd; /* -1 now */
	return ERR_GONE;
}

/* Up to len bytes of the body into out; fewer at its end or on an error. */
static size_t
read_stream(FCGX_Stream *in, char *out, size_t len)
{
	size_t got = 0;

	while (got < len) {
		size_t want = len - got < INT_MAX ? len - got : INT_MAX;
		int count = FCGX_GetStr(out + got, (int)want, in);

		if (count <= 0)
			break;
		got += (size_t)count;
	}
	return got;
}

/* Reads to the end of the body: the number of bytes, more than max when it has
 * not ended by then. */
static size_t
drain(FCGX_Stream *in, size_t max)
{
	char trash[4096];
	size_t total = 0;
	size_t got;

	do {
		got = read_stream(in, trash, sizeof(trash));
		total += got;
	} while (got == sizeof(trash) && total <= max);
	return total;
}

/* The body's len bytes; what is wrong with them goes to req->fail. */
static void
read_body(struct http_request *req, FCGX_Stream *in, size_t len)
{
	char *body;

	if (len == 0)
		return;
	body = arena_alloc(req->arena, len + 1);
	if (body == NULL) {
		(void)request_fail(req, ERR_MEMORY, "body of %zu", len);
		return;
	}
	if (read_stream(in, body, len) < len) {
		(void)request_fail(req, ERR_INPUT, "body cut short");
		return;
	}
	req->body = body;
	req->body_len = len;
}

/* Takes the body in full, so that the next request on the connection starts
 * at its beginning; otherwise the connection is not kept. */
static void
take_body(struct fcgi_conn *conn, struct http_request *req,
    const FCGX_Request *parsed, size_t max)
{
	const char *const *envp = (const char *const *)parsed->envp;
	FCGX_Stream *in = parsed->in;
	size_t len, rest;

	if (request_body_length(envp, &len) != OK)
		(void)request_fail(req, ERR_INPUT, "CONTENT_LENGTH");
	else if (len > max)
		(void)request_fail(req, ERR_TOO_LARGE, "body of %zu", len);
	else
		read_body(req, in, len);
	rest = drain(in, DRAIN_MAX);
	if (rest > 0)
		(void)request_fail(req, ERR_INPUT, "body after its end");
	if (FCGX_GetError(in) != 0)
		(void)request_fail(req, ERR_INPUT, "body cut short");
	if (rest > DRAIN_MAX || FCGX_GetError(in) != 0)
		conn->keep = false;
}

static enum err
fill(struct fcgi_conn *conn, struct http_request *req,
    const FCGX_Request *parsed, size_t body_max)
{
	enum err err;

	conn->request_id = (unsigned)parsed->requestId;
	conn->keep =
	    parsed->keepConnection != 0 &&
	    parsed->role == FCGI_RESPONDER; /* others send more streams */
	conn->gone = false;
	conn->pending_count = 0;
	req->transport = &fcgi_transport;
	req->transport_data = conn;
	err = request_from_cgi(req, (const char *const *)parsed->envp);
	if (err != OK && err != ERR_INPUT)
		return err;
	take_body(conn, req, parsed, body_max);
	return req->fail.err == ERR_MEMORY ? ERR_MEMORY : OK;
}

enum err
fcgi_read(struct fcgi_conn *conn, size_t body_max, struct http_request **out)
{
	struct http_request *req;
	FCGX_Request parsed;
	enum err err;

	if (conn->fd < 0)
		return ERR_GONE;
	err = accept_on(conn, &parsed);
	if (err != OK)
		return err;
	req = request_new();
	err = req == NULL ? ERR_MEMORY : fill(conn, req, &parsed, body_max);
	FCGX_Free(&parsed, 0); /* the descriptor stays open */
	if (err == OK)
		*out = req;
	else
		request_free(req);
	return err;
}
