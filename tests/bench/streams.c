/*
 * streams.c - many slow streams at once: their provider, and their clients.
 *
 * streams provider PORT STREAMS RATE EVENTS: answers every request with a
 * stream of so many events; all streams together send RATE events a second
 * once there are STREAMS of them.  Each event carries the time at which it was
 * sent.  Runs until it is killed.
 *
 * streams client PORT STREAMS OPENED_A_SECOND TOKEN: opens the streams, and
 * prints "steady" when all of them have had an event, "ending" when the first
 * has ended, and then what was measured between the two, as JSON.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MARK        '@' /* then the time in so many digits */
#define DIGITS      16
#define TAIL        64 /* of what was read, for what a read cut in two */
#define READ_MAX    16384
#define LAG_STEP_US 10
#define LAG_STEPS   1000000
#define BATCH       512

static int64_t
now_us(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return (int64_t)at.tv_sec * 1000000 + at.tv_nsec / 1000;
}

static void
need(bool good, const char *what)
{
	if (good)
		return;
	perror(what);
	exit(1);
}

static struct sockaddr_in
local_address(uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_port = htons(port) };

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return address;
}

static int
tcp_socket(void)
{
	int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	need(fd >= 0, "socket");
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static void
watch(int epoll, int fd, uint32_t events, void *what)
{
	struct epoll_event event = { .events = events, .data.ptr = what };

	need(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
}

/* --- provider --------------------------------------------------------- */

struct answer {
	int fd; /* -1: the place is free */
	bool begun;
	long sent;
};

struct provider {
	int epoll, listener;
	struct answer *answers;
	size_t count;
	int64_t rate;
	long events; /* of a stream */
};

static const char head[] = "HTTP/1.1 200 OK\r\n"
			   "Content-Type: text/event-stream\r\n"
			   "Connection: close\r\n"
			   "Transfer-Encoding: chunked\r\n\r\n";

static const char last[] =
    "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,"
    "\"model\":\"fake\",\"choices\":[{\"index\":0,\"delta\":{},"
    "\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

static void
answer_close(struct answer *answer)
{
	close(answer->fd);
	answer->fd = -1;
}

/* What does not fit into the socket's buffer is a stream that is not read:
 * it ends, and its client says so. */
static void
answer_write(struct answer *answer, const char *text, size_t len)
{
	if (send(answer->fd, text, len, MSG_NOSIGNAL) != (ssize_t)len)
		answer_close(answer);
}

static void
answer_chunk(struct answer *answer, const char *text, const char *end)
{
	char chunk[1024];
	int len = snprintf(chunk, sizeof(chunk), "%zx\r\n%s\r\n%s",
	    strlen(text), text, end);

	answer_write(answer, chunk, (size_t)len);
}

static void
answer_event(struct answer *answer, long events)
{
	char event[512];

	if (answer->sent == events) {
		answer_chunk(answer, last, "0\r\n\r\n");
		if (answer->fd >= 0)
			answer_close(answer);
		return;
	}
	answer->sent++;
	(void)snprintf(event, sizeof(event),
	    "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\","
	    "\"created\":1,\"model\":\"fake\",\"choices\":[{\"index\":0,"
	    "\"delta\":{\"content\":\"%c%0*lld \"},"
	    "\"finish_reason\":null}]}\n\n",
	    MARK, DIGITS, (long long)now_us());
	answer_chunk(answer, event, "");
}

static void
provider_accept(struct provider *provider)
{
	size_t place = 0;
	int fd;

	while ((fd = accept4(provider->listener, NULL, NULL, SOCK_NONBLOCK)) >=
	       0) {
		int one = 1;

		while (place < provider->count &&
		       provider->answers[place].fd >= 0)
			place++;
		if (place == provider->count) {
			close(fd);
			continue;
		}
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one,
		    sizeof(one));
		provider->answers[place] = (struct answer){ .fd = fd };
		watch(provider->epoll, fd, EPOLLIN, &provider->answers[place]);
	}
}

static void
provider_read(struct answer *answer)
{
	char data[READ_MAX];
	ssize_t len;

	if (answer->fd < 0)
		return;
	len = recv(answer->fd, data, sizeof(data), 0);
	if (len == 0 || (len < 0 && errno != EAGAIN)) {
		answer_close(answer);
	} else if (len > 0 && !answer->begun) {
		answer->begun = true;
		answer_write(answer, head, sizeof(head) - 1);
	}
}

/* Each stream has its turn once in count / rate seconds. */
static void
provider_run(struct provider *provider)
{
	struct epoll_event events[BATCH];
	int64_t began = now_us();
	int64_t turn = 0;

	for (;;) {
		int count = epoll_wait(provider->epoll, events, BATCH, 1);
		int64_t due;

		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr == NULL)
				provider_accept(provider);
			else
				provider_read(events[i].data.ptr);
		}
		due = (now_us() - began) * provider->rate / 1000000;
		for (; turn < due; turn++) {
			struct answer *answer =
			    &provider->answers[(size_t)turn % provider->count];

			if (answer->fd >= 0 && answer->begun)
				answer_event(answer, provider->events);
		}
	}
}

static void
provider_main(uint16_t port, char **args)
{
	struct provider provider = { .count = strtoul(args[0], NULL, 10),
		.rate = strtol(args[1], NULL, 10),
		.events = strtol(args[2], NULL, 10) };
	struct sockaddr_in address = local_address(port);
	int one = 1;

	provider.answers = calloc(provider.count, sizeof(*provider.answers));
	need(provider.answers != NULL, "calloc");
	for (size_t i = 0; i < provider.count; i++)
		provider.answers[i].fd = -1;
	provider.epoll = epoll_create1(0);
	provider.listener = tcp_socket();
	(void)setsockopt(provider.listener, SOL_SOCKET, SO_REUSEADDR, &one,
	    sizeof(one));
	need(bind(provider.listener, (struct sockaddr *)&address,
		 sizeof(address)) == 0,
	    "bind");
	need(listen(provider.listener, 4096) == 0, "listen");
	watch(provider.epoll, provider.listener, EPOLLIN, NULL);
	provider_run(&provider);
}

/* --- client ----------------------------------------------------------- */

struct stream {
	int fd; /* -1: over */
	bool asked, answered, had_event, done;
	size_t tail_len;
	char tail[TAIL];
};

struct client {
	int epoll;
	struct stream *streams;
	size_t count, opened, with_event, over, done;
	bool steady, ending;
	long events; /* while steady */
	uint32_t *lags;
	int64_t lag_max_us;
	char status[128]; /* of the first answer that is no 200 */
	char request[4096];
	size_t request_len;
};

static void
say(const char *word)
{
	printf("%s\n", word);
	fflush(stdout);
}

static void
take_event(struct client *client, struct stream *stream, int64_t lag_us)
{
	size_t step = (size_t)(lag_us / LAG_STEP_US);

	if (!stream->had_event) {
		stream->had_event = true;
		client->with_event++;
		if (client->with_event == client->count) {
			client->steady = true;
			say("steady");
		}
	}
	if (!client->steady || client->ending)
		return;
	client->events++;
	client->lags[step < LAG_STEPS ? step : LAG_STEPS - 1]++;
	if (lag_us > client->lag_max_us)
		client->lag_max_us = lag_us;
}

static void
take_done(struct client *client, struct stream *stream)
{
	stream->done = true;
	if (client->steady && !client->ending) {
		client->ending = true;
		say("ending");
	}
}

/* The bytes of text that are done with; the rest is looked at again with what
 * follows. */
static size_t
take_text(struct client *client, struct stream *stream, const char *text,
    size_t len)
{
	static const char end[] = "data: [DONE]";
	int64_t now = now_us();
	size_t at = 0;

	for (;;) {
		const char *mark = memchr(text + at, MARK, len - at);

		if (mark == NULL)
			break;
		at = (size_t)(mark - text);
		if (len - at <= DIGITS)
			return at;
		take_event(client, stream, now - strtoll(mark + 1, NULL, 10));
		at += DIGITS + 1;
	}
	if (memmem(text + at, len - at, end, sizeof(end) - 1) != NULL)
		take_done(client, stream);
	return len - at < sizeof(end) ? at : len - sizeof(end);
}

static void
stream_over(struct client *client, struct stream *stream)
{
	close(stream->fd);
	stream->fd = -1;
	client->over++;
	client->done += stream->done;
}

static bool
is_answer(struct client *client, struct stream *stream, const char *text)
{
	static const char good[] = "HTTP/1.1 200";

	if (stream->answered)
		return true;
	stream->answered = strncmp(text, good, sizeof(good) - 1) == 0;
	if (!stream->answered && client->status[0] == '\0') {
		size_t len = strcspn(text, "\"\\\r\n");

		if (len >= sizeof(client->status))
			len = sizeof(client->status) - 1;
		memcpy(client->status, text, len);
	}
	return stream->answered;
}

static void
stream_read(struct client *client, struct stream *stream)
{
	char text[TAIL + READ_MAX + 1];
	size_t len = stream->tail_len;
	size_t used;
	ssize_t got;

	memcpy(text, stream->tail, len);
	got = recv(stream->fd, text + len, READ_MAX, 0);
	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0) {
		stream_over(client, stream);
		return;
	}
	len += (size_t)got;
	text[len] = '\0';
	if (!is_answer(client, stream, text)) {
		stream_over(client, stream);
		return;
	}
	used = stream->done ? len : take_text(client, stream, text, len);
	stream->tail_len = len - used;
	if (stream->tail_len > TAIL)
		stream->tail_len = TAIL;
	memcpy(stream->tail, text + len - stream->tail_len, stream->tail_len);
}

static void
stream_ready(struct client *client, struct stream *stream, uint32_t events)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = stream };

	if (stream->fd < 0)
		return;
	if (stream->asked) {
		stream_read(client, stream);
		return;
	}
	stream->asked = true;
	if ((events & (EPOLLERR | EPOLLHUP)) != 0 ||
	    send(stream->fd, client->request, client->request_len,
		MSG_NOSIGNAL) != (ssize_t)client->request_len ||
	    epoll_ctl(client->epoll, EPOLL_CTL_MOD, stream->fd, &event) != 0)
		stream_over(client, stream);
}

static void
stream_open(struct client *client, const struct sockaddr_in *address)
{
	struct stream *stream = &client->streams[client->opened++];

	stream->fd = tcp_socket();
	if (connect(stream->fd, (const struct sockaddr *)address,
		sizeof(*address)) != 0 &&
	    errno != EINPROGRESS) {
		stream_over(client, stream);
		return;
	}
	watch(client->epoll, stream->fd, EPOLLOUT, stream);
}

static void
client_run(struct client *client, const struct sockaddr_in *address,
    int64_t opened_a_second)
{
	struct epoll_event events[BATCH];
	int64_t began = now_us();

	while (client->over < client->count) {
		int64_t due = (now_us() - began) * opened_a_second / 1000000;
		int count;

		while (client->opened < client->count &&
		       (int64_t)client->opened <= due)
			stream_open(client, address);
		count = epoll_wait(client->epoll, events, BATCH,
		    client->opened < client->count ? 1 : 1000);
		for (int i = 0; i < count; i++)
			stream_ready(client, events[i].data.ptr,
			    events[i].events);
	}
}

static int64_t
lag_quantile(const struct client *client, double q)
{
	double wanted = q * (double)client->events;
	double seen = 0;

	for (size_t step = 0; step < LAG_STEPS; step++) {
		seen += client->lags[step];
		if (seen >= wanted)
			return (int64_t)(step + 1) * LAG_STEP_US;
	}
	return client->lag_max_us;
}

static void
client_report(const struct client *client)
{
	printf("{\"streams\":%zu,\"done\":%zu,\"with_event\":%zu,"
	       "\"events\":%ld,\"p50_us\":%lld,\"p99_us\":%lld,"
	       "\"max_us\":%lld,\"refusal\":\"%s\"}\n",
	    client->count, client->done, client->with_event, client->events,
	    (long long)lag_quantile(client, 0.5),
	    (long long)lag_quantile(client, 0.99),
	    (long long)client->lag_max_us, client->status);
}

static void
client_main(uint16_t port, char **args)
{
	static const char body[] =
	    "{\"model\":\"fake\",\"stream\":true,"
	    "\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}";
	struct client client = { .count = strtoul(args[0], NULL, 10) };
	struct sockaddr_in address = local_address(port);
	int len;

	client.streams = calloc(client.count, sizeof(*client.streams));
	client.lags = calloc(LAG_STEPS, sizeof(*client.lags));
	need(client.streams != NULL && client.lags != NULL, "calloc");
	len = snprintf(client.request, sizeof(client.request),
	    "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
	    "Connection: close\r\nContent-Type: application/json\r\n"
	    "Authorization: Bearer %s\r\nContent-Length: %zu\r\n\r\n%s",
	    args[2], sizeof(body) - 1, body);
	need(len > 0 && (size_t)len < sizeof(client.request), "token");
	client.request_len = (size_t)len;
	client.epoll = epoll_create1(0);
	client_run(&client, &address, strtol(args[1], NULL, 10));
	client_report(&client);
	free(client.lags);
	free(client.streams);
}

int
main(int argc, char **argv)
{
	struct rlimit limit;

	(void)signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	if (argc == 6 && strcmp(argv[1], "provider") == 0)
		provider_main((uint16_t)strtoul(argv[2], NULL, 10), argv + 3);
	else if (argc == 6 && strcmp(argv[1], "client") == 0)
		client_main((uint16_t)strtoul(argv[2], NULL, 10), argv + 3);
	else
		return 2;
	return 0;
}
