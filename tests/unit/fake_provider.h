/*
 * fake_provider.h - a provider of chat completions inside a unit test.
 *
 * A thread listens on 127.0.0.1; each connection has a thread of its own that
 * answers requests until the peer leaves.  What it answers is named by the
 * first segment of the path: http://127.0.0.1:port/<scenario>.
 */
#ifndef FAKE_PROVIDER_H
#define FAKE_PROVIDER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FAKE_BODY_MAX    65536
#define FAKE_CONNECTIONS 64

struct fake {
	int listener;
	int port;
	pthread_t thread;
	pthread_t peers[FAKE_CONNECTIONS];
	int peers_len;
	atomic_int connections, requests, abandoned, strays;
	pthread_mutex_t lock;
	char head[8192]; /* of the last request */
	char body[FAKE_BODY_MAX];
};

struct fake_peer {
	struct fake *fake;
	int fd;
	int served;
};

#define FAKE_SSE                                                 \
	"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" \
	"Transfer-Encoding: chunked\r\n\r\n"
#define FAKE_CHUNK(text)                                                  \
	"data: "                                                          \
	"{\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"content\":" \
	"\"" text "\"},\"finish_reason\":null}]}\n\n"
#define FAKE_STOP                                                     \
	"data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{}," \
	"\"finish_reason\":\"stop\"}]}\n\n"
#define FAKE_USAGE                                                            \
	"data: {\"id\":\"x\",\"choices\":[],\"usage\":{\"prompt_tokens\":11," \
	"\"completion_tokens\":7,\"prompt_tokens_details\":{"                 \
	"\"cached_tokens\":3}}}\n\n"
#define FAKE_DONE "data: [DONE]\n\n"
#define FAKE_TOOL                                                              \
	"data: "                                                               \
	"{\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\""    \
	":[{\"index\":0,\"id\":\"call_1\",\"type\":\"function\",\"function\":" \
	"{"                                                                    \
	"\"name\":\"f\",\"arguments\":\"{}\"}}]},\"finish_reason\":null}]}"    \
	"\n\n"

static inline bool
fake_send(int fd, const char *data, size_t len)
{
	ssize_t n;

	for (; len > 0; data += n, len -= (size_t)n) {
		n = send(fd, data, len, MSG_NOSIGNAL);
		if (n <= 0)
			return false;
	}
	return true;
}

static inline bool
fake_text(int fd, const char *text)
{
	return fake_send(fd, text, strlen(text));
}

/* One chunk of a chunked body; "" is the last. */
static inline bool
fake_chunk(int fd, const char *text)
{
	char size[32];

	snprintf(size, sizeof(size), "%zx\r\n", strlen(text));
	return fake_text(fd, size) && fake_text(fd, text) &&
	       fake_text(fd, "\r\n");
}

static inline bool
fake_head(int fd, int status, const char *headers, size_t len)
{
	char head[512];

	snprintf(head, sizeof(head),
	    "HTTP/1.1 %d X\r\nContent-Type: application/json\r\n"
	    "%sContent-Length: %zu\r\n\r\n",
	    status, headers, len);
	return fake_text(fd, head);
}

static inline bool
fake_json(int fd, int status, const char *headers, const char *body)
{
	return fake_head(fd, status, headers, strlen(body)) &&
	       fake_text(fd, body);
}

/* Waits until the peer closes: true when it did within ms. */
static inline bool
fake_left(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char byte;

	return poll(&p, 1, ms) == 1 &&
	       recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0;
}

/* Each byte of text in a packet of its own. */
static inline bool
fake_drip(int fd, const char *text)
{
	for (; *text != '\0'; text++)
		if (!fake_chunk(fd, (char[]){ *text, '\0' }))
			return false;
	return true;
}

static inline bool
fake_flood(int fd, int events)
{
	char text[1100];

	memset(text, 'y', sizeof(text));
	memcpy(text, "data: {\"choices\":[{\"delta\":{\"content\":\"", 39);
	memcpy(text + sizeof(text) - 10, "\"}}]}\n\n", 8);
	for (int i = 0; i < events; i++)
		if (!fake_chunk(fd, text))
			return false;
	return fake_chunk(fd, FAKE_STOP FAKE_DONE) && fake_chunk(fd, "");
}

static inline bool
fake_is(const char *path, const char *scenario)
{
	size_t len = strlen(scenario);

	return strncmp(path + 1, scenario, len) == 0 && path[1 + len] == '/';
}

static inline bool
fake_stream(struct fake *fake, int fd, const char *path)
{
	bool ok = fake_text(fd, FAKE_SSE);

	if (fake_is(path, "stream"))
		return ok && fake_chunk(fd, FAKE_CHUNK("Hello")) &&
		       fake_chunk(fd, FAKE_CHUNK(" world") FAKE_STOP) &&
		       fake_chunk(fd, FAKE_USAGE FAKE_DONE) &&
		       fake_chunk(fd, "");
	if (fake_is(path, "drip"))
		return ok &&
		       fake_drip(fd, ": hi\n\n" FAKE_CHUNK("Gr\xc3\xbc\xc3\x9f")
					 FAKE_STOP FAKE_DONE) &&
		       fake_chunk(fd, "");
	if (fake_is(path, "tools"))
		return ok && fake_chunk(fd, FAKE_TOOL FAKE_STOP FAKE_DONE) &&
		       fake_chunk(fd, "");
	if (fake_is(path, "nodone"))
		return ok && fake_chunk(fd, FAKE_CHUNK("a") FAKE_STOP) &&
		       fake_chunk(fd, "");
	if (fake_is(path, "truncated"))
		return ok && fake_chunk(fd, FAKE_CHUNK("half")) &&
		       fake_chunk(fd, "");
	if (fake_is(path, "reset")) {
		(void)(ok && fake_chunk(fd, FAKE_CHUNK("half")));
		return false;
	}
	if (fake_is(path, "garbage"))
		return ok && fake_chunk(fd, FAKE_CHUNK("ok")) &&
		       fake_chunk(fd, "data: {\"choices\":[NaN]}\n\n") &&
		       fake_left(fd, 5000) && false;
	if (fake_is(path, "oops"))
		return ok &&
		       fake_chunk(fd,
			   "data: {\"error\":{\"message\":\"x\"}}\n\n") &&
		       fake_left(fd, 5000) && false;
	if (fake_is(path, "flood"))
		ok = ok && fake_flood(fd, 4000);
	else if (fake_is(path, "deluge")) /* more than sockets can hold */
		ok = ok && fake_flood(fd, 60000);
	else /* "hang": one event, then silence */
		ok = ok && fake_chunk(fd, FAKE_CHUNK("wait")) &&
		     !fake_left(fd, 10000);
	if (!ok)
		atomic_fetch_add(&fake->abandoned, 1);
	return ok;
}

#define FAKE_WHOLE(text)                                        \
	"{\"id\":\"y\",\"choices\":[{\"index\":0,\"message\":{" \
	"\"role\":\"assistant\",\"content\":\"" text "\"},"     \
	"\"finish_reason\":\"stop\"}],\"usage\":{"              \
	"\"prompt_tokens\":5,\"completion_tokens\":2}}"

/* Over its first connection it answers once more than it was asked: in one
 * packet with the end of the answer, or after it. */
static inline bool
fake_stray(struct fake *fake, int fd, bool later)
{
	const char *body = FAKE_WHOLE("Fine.");
	char more[1024];
	int len;
	bool ok;

	if (atomic_load(&fake->connections) > 1)
		return fake_json(fd, 200, "", body);
	len = snprintf(more, sizeof(more),
	    "%sHTTP/1.1 200 X\r\nContent-Type: application/json\r\n"
	    "Content-Length: %zu\r\n\r\n%s",
	    later ? "" : body + 1, strlen(FAKE_WHOLE("Not yours.")),
	    FAKE_WHOLE("Not yours."));
	if (later)
		ok = fake_json(fd, 200, "", body);
	else
		ok = fake_head(fd, 200, "", strlen(body)) &&
		     fake_send(fd, body, 1);
	usleep(20000); /* so that they are packets of their own */
	ok = ok && fake_send(fd, more, (size_t)len);
	atomic_fetch_add(&fake->strays, 1);
	return ok;
}

#define FAKE_ERROR(message, code)                                 \
	"{\"error\":{\"message\":\"" message "\",\"type\":\"t\"," \
	"\"param\":null,\"code\":\"" code "\"}}"

static inline bool
fake_whole(struct fake *fake, int fd, const char *path)
{
	if (fake_is(path, "json") || fake_is(path, "once") ||
	    fake_is(path, "gone"))
		return fake_json(fd, 200, "", FAKE_WHOLE("Fine."));
	if (fake_is(path, "more") || fake_is(path, "later"))
		return fake_stray(fake, fd, fake_is(path, "later"));
	if (fake_is(path, "nousage"))
		return fake_json(fd, 200, "",
		    "{\"choices\":[{\"message\":{\"content\":\"12345678\"}}]}");
	if (fake_is(path, "rubbish"))
		return fake_json(fd, 200, "", "{\"choices\":[{]}");
	if (fake_is(path, "e400"))
		return fake_json(fd, 400, "",
		    FAKE_ERROR("temperature is sk-test-1234567890 wrong",
			"invalid_value"));
	if (fake_is(path, "e401"))
		return fake_json(fd, 401, "",
		    FAKE_ERROR("bad key sk-test-1234567890",
			"invalid_api_key"));
	if (fake_is(path, "e404"))
		return fake_json(fd, 404, "",
		    FAKE_ERROR("no such thing", "model_not_found"));
	if (fake_is(path, "e429"))
		return fake_json(fd, 429, "Retry-After: 7\r\n",
		    FAKE_ERROR("slow", "x"));
	if (fake_is(path, "e500"))
		return fake_json(fd, 500, "", "boom");
	if (fake_is(path, "e529"))
		return fake_json(fd, 529, "", "{}");
	if (fake_is(path, "redirect"))
		return fake_json(fd, 302, "Location: http://127.0.0.1:1/\r\n",
		    "{}");
	if (fake_is(path, "mute")) {
		if (fake_left(fd, 10000))
			atomic_fetch_add(&fake->abandoned, 1);
		return false;
	}
	if (fake_is(path, "nonsense")) {
		(void)fake_text(fd, "SMTP ready\r\n");
		return false;
	}
	return fake_stream(fake, fd, path);
}

/* Reads a request; false when the peer closed. */
static inline bool
fake_request(struct fake *fake, int fd, char *path, size_t path_size)
{
	char buffer[FAKE_BODY_MAX + 8192];
	size_t len = 0, want = 0;
	char *end = NULL;
	const char *length;
	ssize_t n;

	while (end == NULL || len < want) {
		n = recv(fd, buffer + len, sizeof(buffer) - 1 - len, 0);
		if (n <= 0)
			return false;
		len += (size_t)n;
		if (buffer[0] == 0x16) { /* TLS: answered as nginx does */
			(void)fake_text(fd, "HTTP/1.1 400 X\r\n\r\n");
			return false;
		}
		buffer[len] = '\0';
		end = end != NULL ? end : strstr(buffer, "\r\n\r\n");
		if (end != NULL && want == 0) {
			length = strcasestr(buffer, "content-length: ");
			want = (size_t)(end + 4 - buffer) +
			       (length == NULL
				       ? 0
				       : (size_t)strtol(length + 16, NULL, 10));
		}
	}
	pthread_mutex_lock(&fake->lock);
	snprintf(fake->head, sizeof(fake->head), "%.*s", (int)(end - buffer),
	    buffer);
	snprintf(fake->body, sizeof(fake->body), "%s", end + 4);
	pthread_mutex_unlock(&fake->lock);
	snprintf(path, path_size, "%.*s", (int)strcspn(buffer + 5, " "),
	    buffer + 5);
	return true;
}

static inline void *
fake_serve(void *arg)
{
	struct fake_peer *peer = arg;
	char path[256];

	while (fake_request(peer->fake, peer->fd, path, sizeof(path))) {
		atomic_fetch_add(&peer->fake->requests, 1);
		/* "once" leaves when it is asked again; "gone" for good. */
		if (fake_is(path, "gone") && peer->served > 0)
			shutdown(peer->fake->listener, SHUT_RDWR);
		if ((fake_is(path, "once") || fake_is(path, "gone")) &&
		    peer->served > 0)
			break;
		if (!fake_whole(peer->fake, peer->fd, path))
			break;
		peer->served++;
	}
	close(peer->fd);
	free(peer);
	return NULL;
}

static inline void *
fake_accept(void *arg)
{
	struct fake *fake = arg;
	struct fake_peer *peer;
	int one = 1;
	int fd;

	while (fake->peers_len < FAKE_CONNECTIONS) {
		fd = accept(fake->listener, NULL, NULL);
		if (fd < 0)
			return NULL;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		peer = malloc(sizeof(*peer));
		*peer = (struct fake_peer){ fake, fd, 0 };
		atomic_fetch_add(&fake->connections, 1);
		pthread_create(&fake->peers[fake->peers_len++], NULL,
		    fake_serve, peer);
	}
	return NULL;
}

static inline void
fake_start(struct fake *fake)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t len = sizeof(address);

	memset(fake, 0, sizeof(*fake));
	pthread_mutex_init(&fake->lock, NULL);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fake->listener = socket(AF_INET, SOCK_STREAM, 0);
	bind(fake->listener, (struct sockaddr *)&address, sizeof(address));
	listen(fake->listener, 16);
	getsockname(fake->listener, (struct sockaddr *)&address, &len);
	fake->port = ntohs(address.sin_port);
	pthread_create(&fake->thread, NULL, fake_accept, fake);
}

/* After every client of it has closed its connections. */
static inline void
fake_stop(struct fake *fake)
{
	shutdown(fake->listener, SHUT_RDWR);
	pthread_join(fake->thread, NULL);
	for (int i = 0; i < fake->peers_len; i++)
		pthread_join(fake->peers[i], NULL);
	close(fake->listener);
}

#endif /* FAKE_PROVIDER_H */
