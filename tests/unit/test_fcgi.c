/*
 * test_fcgi.c - the FastCGI transport against a client of its own.
 *
 * The client is this file's: it speaks the protocol by hand over a socketpair,
 * as nginx does and as nginx never would.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/fcgi.h"
#include "http/response.h"

#define BODY_MAX   1000
#define ANSWER_MAX (4 * 1024 * 1024)
#define NO_WAIT_US 50000

enum { BEGIN = 1, END = 3, PARAMS = 4, STDIN = 5, STDOUT = 6 };

/* Both ends, and what the server side reported. */
struct wire {
	int client; /* the test's end */
	struct fcgi_conn *conn;
	int after_calls;
	bool kept;
};

/* What came back: the bytes of the stream, and whether it was ended. */
struct reply {
	char *data;
	size_t len;
	size_t records;
	bool ended;
};

static void
on_after(struct fcgi_conn *conn, bool keep, void *arg)
{
	struct wire *wire = arg;

	cr_expect_eq(conn, wire->conn);
	wire->after_calls++;
	wire->kept = keep;
	if (!keep)
		cr_expect_eq(fcgi_conn_fd(conn), -1);
}

static void
wire_open(struct wire *wire)
{
	struct timeval patience = { .tv_sec = 5 };
	int ends[2];

	cr_assert_eq(fcgi_setup(), OK);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends),
	    0);
	*wire = (struct wire){ .client = ends[0] };
	(void)setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &patience,
	    sizeof(patience));
	wire->conn = fcgi_conn_new(ends[1], on_after, wire);
	cr_assert_not_null(wire->conn);
}

static void
wire_close(struct wire *wire)
{
	fcgi_conn_free(wire->conn);
	if (wire->client >= 0)
		(void)close(wire->client);
}

static void
hang_up(struct wire *wire)
{
	(void)close(wire->client);
	wire->client = -1;
}

static void
put(const struct wire *wire, const void *data, size_t len)
{
	const char *at = data;

	while (len > 0) {
		ssize_t sent = send(wire->client, at, len, MSG_NOSIGNAL);

		cr_assert_gt(sent, 0);
		at += sent;
		len -= (size_t)sent;
	}
}

/* With padding where libfcgi takes it: neither after the record that begins a
 * request nor after an empty one. */
static void
put_record(const struct wire *wire, int type, const void *data, size_t len)
{
	unsigned char pad = type != BEGIN && len > 0 ? 3 : 0;
	unsigned char header[8] = { 1, (unsigned char)type, 0, 1,
		(unsigned char)(len >> 8), (unsigned char)len, pad, 0 };

	put(wire, header, sizeof(header));
	put(wire, data, len);
	put(wire, "pad", pad);
}

static void
put_begin(const struct wire *wire, bool keep)
{
	unsigned char body[8] = { 0, 1, keep, 0, 0, 0, 0, 0 };

	put_record(wire, BEGIN, body, sizeof(body));
}

static size_t
put_length(unsigned char *out, size_t len)
{
	if (len < 128) {
		out[0] = (unsigned char)len;
		return 1;
	}
	out[0] = (unsigned char)(len >> 24 | 0x80);
	out[1] = (unsigned char)(len >> 16);
	out[2] = (unsigned char)(len >> 8);
	out[3] = (unsigned char)len;
	return 4;
}

static void
put_param(const struct wire *wire, const char *name, const char *value)
{
	static unsigned char pair[40000];
	size_t name_len = strlen(name), value_len = strlen(value);
	size_t at = put_length(pair, name_len);

	at += put_length(pair + at, value_len);
	memcpy(pair + at, name, name_len);
	memcpy(pair + at + name_len, value, value_len);
	put_record(wire, PARAMS, pair, at + name_len + value_len);
}

static void
put_head(const struct wire *wire, bool keep, const char *length)
{
	put_begin(wire, keep);
	put_param(wire, "REQUEST_METHOD", "POST");
	put_param(wire, "REQUEST_URI", "/api/chats?a=1");
	put_param(wire, "CONTENT_LENGTH", length);
	put_record(wire, PARAMS, "", 0);
}

static void
put_body(const struct wire *wire, const char *body)
{
	if (*body != '\0')
		put_record(wire, STDIN, body, strlen(body));
	put_record(wire, STDIN, "", 0);
}

static void
put_request(const struct wire *wire, bool keep, const char *body)
{
	char length[24];
	size_t len = strlen(body), at = sizeof(length) - 1;

	length[at] = '\0';
	do
		length[--at] = (char)('0' + len % 10);
	while ((len /= 10) > 0);
	put_head(wire, keep, length + at);
	put_body(wire, body);
}

static bool
get(const struct wire *wire, void *out, size_t len)
{
	char *at = out;

	while (len > 0) {
		ssize_t got = recv(wire->client, at, len, 0);

		if (got <= 0)
			return false;
		at += got;
		len -= (size_t)got;
	}
	return true;
}

/* One record of an answer; false at the end of the connection. */
static bool
get_record(const struct wire *wire, struct reply *reply)
{
	unsigned char header[8], rest[255];
	size_t len;

	if (!get(wire, header, sizeof(header)))
		return false;
	len = (size_t)header[4] << 8 | header[5];
	cr_assert_eq(header[0], 1);
	cr_assert_eq(header[3], 1);
	if (header[1] == END) {
		cr_assert_eq(len, 8);
		cr_assert(get(wire, rest, 8));
		cr_expect_eq(rest[4], 0);
		reply->ended = true;
		return true;
	}
	cr_assert_eq(header[1], STDOUT);
	cr_assert_leq(reply->len + len, ANSWER_MAX);
	cr_assert(get(wire, reply->data + reply->len, len));
	cr_assert(get(wire, rest, header[6]));
	reply->len += len;
	reply->records++;
	return true;
}

static struct reply
get_reply(const struct wire *wire)
{
	struct reply reply = { .data = calloc(1, ANSWER_MAX + 1) };

	cr_assert_not_null(reply.data);
	while (!reply.ended && get_record(wire, &reply))
		continue;
	return reply;
}

static struct http_request *
read_one(struct wire *wire)
{
	struct http_request *req = NULL;

	cr_assert_eq(fcgi_read(wire->conn, BODY_MAX, &req), OK);
	cr_assert_not_null(req);
	return req;
}

static void
answer_with(struct http_request *req, const char *json)
{
	(void)response_json_text(req, 200, json, strlen(json));
	request_finish(req);
}

static void
expect_answer(struct wire *wire, const char *json)
{
	struct reply reply = get_reply(wire);

	cr_expect(reply.ended);
	cr_expect_eq(strncmp(reply.data, "Status: 200 OK\r\n", 16), 0);
	cr_expect_str_eq(strstr(reply.data, "\r\n\r\n") + 4, json);
	free(reply.data);
}

static int
count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

Test(fcgi, two_requests_go_over_one_kept_connection)
{
	struct wire wire;

	wire_open(&wire);
	for (int i = 1; i <= 2; i++) {
		struct http_request *req;

		put_request(&wire, true, "{\"a\":1}");
		req = read_one(&wire);
		cr_expect_str_eq(req->path, "/api/chats");
		cr_expect_str_eq(request_query(req, "a"), "1");
		cr_expect_eq(req->method, HTTP_POST);
		cr_expect_str_eq(req->body, "{\"a\":1}");
		cr_expect_eq(req->body_len, 7);
		cr_expect_eq(req->fail.err, OK);
		cr_expect_eq(req->transport->fd(req), fcgi_conn_fd(wire.conn));
		answer_with(req, "[]");
		cr_expect_eq(wire.after_calls, i);
		cr_expect(wire.kept);
		expect_answer(&wire, "[]");
	}
	wire_close(&wire);
}

Test(fcgi, without_the_keep_flag_the_connection_is_closed_at_once)
{
	struct reply reply;
	int64_t before;
	struct wire wire;

	wire_open(&wire);
	put_request(&wire, false, "");
	struct http_request *req = read_one(&wire);

	before = clock_mono_us();
	answer_with(req, "[]");
	cr_expect_lt(clock_mono_us() - before, NO_WAIT_US);
	cr_expect_eq(wire.after_calls, 1);
	cr_expect_not(wire.kept);
	expect_answer(&wire, "[]");
	reply = get_reply(&wire);
	cr_expect_not(reply.ended, "the end of the connection");
	free(reply.data);
	wire_close(&wire);
}

Test(fcgi, a_body_comes_in_any_number_of_records)
{
	struct http_request *req;
	struct wire wire;

	wire_open(&wire);
	put_head(&wire, true, "26");
	for (const char *at = "abcdefghijklmnopqrstuvwxyz"; *at != '\0'; at++)
		put_record(&wire, STDIN, at, 1);
	put_record(&wire, STDIN, "", 0);
	req = read_one(&wire);
	cr_expect_str_eq(req->body, "abcdefghijklmnopqrstuvwxyz");
	answer_with(req, "[]");
	expect_answer(&wire, "[]");
	wire_close(&wire);
}

Test(fcgi, long_params_arrive_whole)
{
	static char value[30001];
	struct http_request *req;
	struct wire wire;

	wire_open(&wire);
	memset(value, 'v', sizeof(value) - 1);
	put_begin(&wire, true);
	put_param(&wire, "REQUEST_METHOD", "GET");
	put_param(&wire, "REQUEST_URI", "/");
	put_param(&wire, "HTTP_X_LONG", value);
	put_record(&wire, PARAMS, "", 0);
	put_record(&wire, STDIN, "", 0);
	req = read_one(&wire);
	cr_expect_str_eq(request_header(req, "x-long"), value);
	answer_with(req, "[]");
	expect_answer(&wire, "[]");
	wire_close(&wire);
}

Test(fcgi, after_a_body_over_the_limit_the_next_request_is_in_step)
{
	static char large[BODY_MAX + 30002];
	struct http_request *req;
	struct wire wire;

	wire_open(&wire);
	memset(large, 'x', sizeof(large) - 1);
	put_request(&wire, true, large);
	req = read_one(&wire);
	cr_expect_eq(req->fail.err, ERR_TOO_LARGE);
	cr_expect_str_eq(req->body, "");
	cr_expect_eq(req->body_len, 0);
	answer_with(req, "[1]");
	cr_expect(wire.kept);
	expect_answer(&wire, "[1]");
	put_request(&wire, true, "next");
	req = read_one(&wire);
	cr_expect_str_eq(req->body, "next");
	answer_with(req, "[2]");
	expect_answer(&wire, "[2]");
	wire_close(&wire);
}

static void *
send_endless_body(void *arg)
{
	static const char part[32768];
	const struct wire *wire = arg;
	unsigned char header[8] = { 1, STDIN, 0, 1, sizeof(part) >> 8, 0, 0,
		0 };

	while (send(wire->client, header, sizeof(header), MSG_NOSIGNAL) > 0 &&
	       send(wire->client, part, sizeof(part), MSG_NOSIGNAL) > 0)
		continue;
	return NULL;
}

Test(fcgi, a_body_over_the_cap_costs_the_connection, .timeout = 20)
{
	struct http_request *req;
	pthread_t sender;
	struct wire wire;

	wire_open(&wire);
	put_head(&wire, true, "1099511627776");
	cr_assert_eq(pthread_create(&sender, NULL, send_endless_body, &wire),
	    0);
	req = read_one(&wire);
	cr_expect_eq(req->fail.err, ERR_TOO_LARGE);
	answer_with(req, "[]");
	cr_expect_not(wire.kept);
	cr_assert_eq(pthread_join(sender, NULL), 0);
	expect_answer(&wire, "[]");
	wire_close(&wire);
}

Test(fcgi, a_body_of_another_length_is_an_error_and_stays_in_step)
{
	const char *const lengths[] = { "5", "3", "", "x", "-4" };
	struct wire wire;

	wire_open(&wire);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct http_request *req;

		put_head(&wire, true, lengths[i]);
		put_body(&wire, "four");
		req = read_one(&wire);
		cr_expect_eq(req->fail.err, ERR_INPUT, "%s", lengths[i]);
		answer_with(req, "[]");
		cr_expect(wire.kept);
		expect_answer(&wire, "[]");
	}
	wire_close(&wire);
}

Test(fcgi, a_body_cut_by_the_peer_is_an_error)
{
	struct http_request *req;
	struct wire wire;

	wire_open(&wire);
	put_head(&wire, true, "10");
	put_record(&wire, STDIN, "four", 4);
	hang_up(&wire);
	req = read_one(&wire);
	cr_expect_eq(req->fail.err, ERR_INPUT);
	cr_expect_eq(req->body_len, 0);
	answer_with(req, "[]");
	cr_expect_not(wire.kept);
	cr_expect_eq(wire.after_calls, 1);
	wire_close(&wire);
}

Test(fcgi, a_broken_path_is_still_a_request)
{
	struct http_request *req;
	struct wire wire;

	wire_open(&wire);
	put_begin(&wire, true);
	put_param(&wire, "REQUEST_METHOD", "GET");
	put_param(&wire, "REQUEST_URI", "/a/../b");
	put_record(&wire, PARAMS, "", 0);
	put_record(&wire, STDIN, "", 0);
	req = read_one(&wire);
	cr_expect_eq(req->fail.err, ERR_INPUT);
	answer_with(req, "[]");
	expect_answer(&wire, "[]");
	wire_close(&wire);
}

Test(fcgi, a_small_answer_is_one_record_and_one_packet)
{
	struct http_request *req;
	char bytes[4096];
	struct wire wire;
	ssize_t got;

	wire_open(&wire);
	put_request(&wire, true, "");
	req = read_one(&wire);
	answer_with(req, "[]");
	got = recv(wire.client, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_PEEK);
	cr_assert_gt(got, 24);
	cr_expect_eq(bytes[got - 15], END);
	struct reply reply = get_reply(&wire);

	cr_expect_eq(reply.records, 2, "data and the empty one at its end");
	free(reply.data);
	wire_close(&wire);
}

static void *
read_reply(void *arg)
{
	struct reply *reply = calloc(1, sizeof(*reply));

	*reply = get_reply(arg);
	return reply;
}

Test(fcgi, a_large_answer_arrives_whole, .timeout = 20)
{
	const size_t sizes[] = { 65000, 65528, 65529, 131056, 1048576,
		3000000 };
	struct wire wire;

	wire_open(&wire);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char *body = malloc(sizes[i] + 1);
		struct http_request *req;
		struct reply *reply;
		pthread_t reader;
		void *result;

		for (size_t at = 0; at < sizes[i]; at++)
			body[at] = (char)('a' + at % 23);
		body[sizes[i]] = '\0';
		put_request(&wire, true, "");
		req = read_one(&wire);
		(void)pthread_create(&reader, NULL, read_reply, &wire);
		answer_with(req, body);
		(void)pthread_join(reader, &result);
		reply = result;
		cr_expect(reply->ended);
		cr_expect_str_eq(strstr(reply->data, "\r\n\r\n") + 4, body);
		free(reply->data);
		free(reply);
		free(body);
	}
	wire_close(&wire);
}

Test(fcgi, every_write_of_a_stream_leaves_at_once)
{
	struct reply reply = { .data = calloc(1, ANSWER_MAX + 1) };
	struct http_request *req;
	struct wire wire;

	wire_open(&wire);
	put_request(&wire, true, "");
	req = read_one(&wire);
	cr_assert_eq(stream_begin(req, 200, "text/event-stream"), OK);
	cr_assert(get_record(&wire, &reply));
	cr_expect_not_null(strstr(reply.data, "\r\n\r\n"));
	for (int i = 0; i < 3; i++) {
		reply.len = 0;
		cr_expect(stream_writable(req));
		cr_assert_eq(stream_write(req, "data: x\n\n", 9), OK);
		cr_assert(get_record(&wire, &reply));
		cr_expect_eq(reply.len, 9);
	}
	request_finish(req);
	cr_expect(wire.kept);
	while (!reply.ended)
		cr_assert(get_record(&wire, &reply));
	free(reply.data);
	put_request(&wire, true, "next");
	answer_with(read_one(&wire), "[]");
	expect_answer(&wire, "[]");
	wire_close(&wire);
}

Test(fcgi, a_full_socket_is_not_writable_and_64_kib_fit_when_it_is)
{
	static const char block[65536];
	struct http_request *req;
	struct wire wire;
	int64_t before;
	int blocks = 0;

	wire_open(&wire);
	put_request(&wire, true, "");
	req = read_one(&wire);
	cr_assert_eq(stream_begin(req, 200, "text/event-stream"), OK);
	before = clock_mono_us();
	while (stream_writable(req)) {
		cr_assert_eq(stream_write(req, block, sizeof(block)), OK);
		cr_assert_lt(blocks++, 100);
	}
	cr_expect_geq(blocks, 1);
	cr_expect_lt(clock_mono_us() - before, NO_WAIT_US);
	hang_up(&wire);
	cr_expect(stream_writable(req), "so that the next write says it");
	cr_expect_eq(stream_write(req, "x", 1), ERR_GONE);
	request_finish(req);
	wire_close(&wire);
}

Test(fcgi, a_peer_that_leaves_in_a_stream_stays_gone)
{
	int fds = count_fds();
	struct http_request *req;
	struct wire wire;
	int64_t before;

	wire_open(&wire);
	put_request(&wire, true, "");
	req = read_one(&wire);
	cr_assert_eq(stream_begin(req, 200, "text/event-stream"), OK);
	hang_up(&wire);
	cr_expect_eq(stream_write(req, "x", 1), ERR_GONE);
	cr_expect_eq(stream_write(req, "x", 1), ERR_GONE);
	cr_expect(req->gone);
	before = clock_mono_us();
	request_finish(req);
	cr_expect_lt(clock_mono_us() - before, NO_WAIT_US);
	cr_expect_eq(wire.after_calls, 1);
	cr_expect_not(wire.kept);
	wire_close(&wire);
	cr_expect_eq(count_fds(), fds);
}

Test(fcgi, garbage_is_gone_at_once_and_leaks_nothing)
{
	const struct {
		const char *bytes;
		size_t len;
	} cases[] = {
		{ "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27 },
		{ "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16 },
		/* the body of a begin record is too short */
		{ "\1\1\0\1\0\4\0\0\0\1\0\0", 12 },
		/* request id 0 */
		{ "\1\1\0\0\0\10\0\0\0\1\0\0\0\0\0\0", 16 },
		/* a role that does not exist */
		{ "\1\1\0\1\0\10\0\0\0\11\1\0\0\0\0\0", 16 },
		/* stdin where params are due */
		{ "\1\1\0\1\0\10\0\0\0\1\1\0\0\0\0\0\1\5\0\1\0\0\0\0", 24 },
		/* not a record after params */
		{ "\1\1\0\1\0\10\0\0\0\1\1\0\0\0\0\0"
		  "\1\4\0\1\0\4\0\0\1\1ab--------",
		    36 },
	};
	int fds = count_fds();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct http_request *req = NULL;
		int64_t before = clock_mono_us();
		struct wire wire;

		wire_open(&wire);
		put(&wire, cases[i].bytes, cases[i].len);
		cr_expect_eq(fcgi_read(wire.conn, BODY_MAX, &req), ERR_GONE,
		    "case %zu", i);
		cr_expect_lt(clock_mono_us() - before, NO_WAIT_US);
		cr_expect_null(req);
		cr_expect_eq(fcgi_conn_fd(wire.conn), -1);
		cr_expect_eq(fcgi_read(wire.conn, BODY_MAX, &req), ERR_GONE);
		cr_expect_eq(wire.after_calls, 0);
		wire_close(&wire);
		cr_expect_eq(count_fds(), fds, "case %zu", i);
	}
}

Test(fcgi, a_peer_that_closes_is_the_usual_end)
{
	struct http_request *req = NULL;
	int fds = count_fds();
	struct wire wire;

	wire_open(&wire);
	hang_up(&wire);
	cr_expect_eq(fcgi_read(wire.conn, BODY_MAX, &req), ERR_GONE);
	wire_close(&wire);
	cr_expect_eq(count_fds(), fds);
}

Test(fcgi, params_cut_by_the_peer_are_no_request)
{
	struct http_request *req = NULL;
	struct wire wire;

	wire_open(&wire);
	put_begin(&wire, true);
	put_param(&wire, "REQUEST_METHOD", "GET");
	put_param(&wire, "REQUEST_URI", "/");
	hang_up(&wire);
	cr_expect_eq(fcgi_read(wire.conn, BODY_MAX, &req), ERR_GONE);
	cr_expect_null(req);
	cr_expect_eq(fcgi_conn_fd(wire.conn), -1);
	wire_close(&wire);
}

Test(fcgi, a_descriptor_that_was_given_away_stays_open)
{
	struct wire wire;
	int fd;

	wire_open(&wire);
	fd = fcgi_conn_take_fd(wire.conn);
	cr_expect_eq(fcgi_conn_fd(wire.conn), -1);
	fcgi_conn_free(wire.conn);
	wire.conn = fcgi_conn_new(fd, on_after, &wire);
	put_request(&wire, true, "moved");
	answer_with(read_one(&wire), "[]");
	expect_answer(&wire, "[]");
	wire_close(&wire);
	fcgi_conn_free(NULL);
}

Test(fcgi, setup_leaves_signals_alone)
{
	struct sigaction action;

	cr_assert_eq(fcgi_setup(), OK);
	cr_assert_eq(sigaction(SIGTERM, NULL, &action), 0);
	cr_expect_eq(action.sa_handler, SIG_DFL);
	cr_assert_eq(sigaction(SIGPIPE, NULL, &action), 0);
	cr_expect_eq(action.sa_handler, SIG_IGN);
	cr_expect_neq(fcgi_library_version()[0], '\0');
}
