/*
 * relay_bench.h - what tests of the relay stand on: a journal of theirs, a
 * client at a socket, a sink that passes everything on.
 */
#ifndef RELAY_BENCH_H
#define RELAY_BENCH_H

#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "http/response.h"
#include "http/sse.h"
#include "llm/call.h"
#include "llm/provider.h"
#include "llm/relay.h"

#include "fake_provider.h"

/* The journal of these tests: keeps lines, answers from a thread. */
struct journal {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t thread;
	struct record *queue, **end;
	bool stop;
	bool full;          /* accepts nothing */
	bool takes_nothing; /* the same, though it says that it accepts */
	bool hold;          /* answers nothing */
	bool unsure;        /* a start has to be kept first */
	int refuse;         /* so many ends are not durable */
	int refuse_starts;
	int running, ends;
	char lines[65536];
};

bool
journal_accepts(const struct journal *journal)
{
	return !journal->full;
}

bool
journal_is_sure(const struct journal *journal)
{
	return !journal->unsure;
}

enum err
journal_submit(struct journal *journal, struct record *record)
{
	enum err err = OK;

	pthread_mutex_lock(&journal->lock);
	if (journal->full || journal->takes_nothing) {
		err = ERR_BUSY;
	} else {
		record->next = NULL;
		*journal->end = record;
		journal->end = &record->next;
		pthread_cond_signal(&journal->wake);
	}
	pthread_mutex_unlock(&journal->lock);
	return err;
}

static void
journal_take(struct journal *journal, struct record *record)
{
	enum durable how = DURABLE_DB;
	size_t used = strlen(journal->lines);

	if (strstr(record->line, "\trunning\t") != NULL) {
		journal->running++;
		if (journal->refuse_starts > 0) {
			journal->refuse_starts--;
			how = DURABLE_NONE;
		}
	} else if (journal->refuse > 0) {
		journal->refuse--;
		how = DURABLE_NONE;
	} else {
		journal->ends++;
		if (record->len < 4096 &&
		    used + record->len < sizeof(journal->lines))
			memcpy(journal->lines + used, record->line,
			    record->len);
	}
	pthread_mutex_unlock(&journal->lock);
	record->done(record, how);
	record_free(record);
	pthread_mutex_lock(&journal->lock);
}

static void *
journal_run(void *arg)
{
	struct journal *journal = arg;
	struct record *record;

	pthread_mutex_lock(&journal->lock);
	for (;;) {
		while ((journal->queue == NULL || journal->hold) &&
		       !(journal->stop && journal->queue == NULL))
			pthread_cond_wait(&journal->wake, &journal->lock);
		record = journal->queue;
		if (record == NULL)
			break;
		journal->queue = record->next;
		if (journal->queue == NULL)
			journal->end = &journal->queue;
		journal_take(journal, record);
	}
	pthread_mutex_unlock(&journal->lock);
	return NULL;
}

#define PLACES 16 /* scenarios of a test */

/* Where a scenario's calls go; it stays as it is for those under way. */
struct place {
	struct catalog_provider provider;
	struct catalog_target target;
	char url[128];
};

/* Everything of a test. */
struct bench {
	struct config config;
	struct journal journal;
	struct inflight *inflight;
	struct relay *relay;
	struct fake fake;
	struct place places[PLACES];
	struct place *at; /* of the last scenario */
};

static struct inflight *bench_inflight; /* of the one that runs */

static void
bench_start(struct bench *bench)
{
	memset(bench, 0, sizeof(*bench));
	log_setup(LOG_ERROR, "test");
	bench->config = (struct config){
		.connect_ms = 2000,
		.first_byte_ms = 2000,
		.idle_ms = 2000,
		.total_ms = 20000,
		.client_stall_ms = 5000,
		.echo_pace_ms = 5,
		.streams_max = 8,
	};
	pthread_mutex_init(&bench->journal.lock, NULL);
	pthread_cond_init(&bench->journal.wake, NULL);
	bench->journal.end = &bench->journal.queue;
	pthread_create(&bench->journal.thread, NULL, journal_run,
	    &bench->journal);
	bench->inflight = inflight_map(NULL, 0, 8);
	bench_inflight = bench->inflight;
	cr_assert_eq(relay_new(&bench->config, &bench->journal, bench->inflight,
			 &bench->relay),
	    OK);
	fake_start(&bench->fake);
}

static void
bench_stop(struct bench *bench)
{
	relay_drain(bench->relay, clock_mono_us() + 5000000);
	cr_expect_eq(inflight_count(bench->inflight), 0);
	relay_free(bench->relay);
	pthread_mutex_lock(&bench->journal.lock);
	bench->journal.stop = true;
	bench->journal.hold = false;
	pthread_cond_signal(&bench->journal.wake);
	pthread_mutex_unlock(&bench->journal.lock);
	pthread_join(bench->journal.thread, NULL);
	inflight_unmap(bench->inflight);
	fake_stop(&bench->fake);
}

/* A new relay, with another value of a setting of bench->config: relays read
 * their settings at any time. */
static void
bench_set(struct bench *bench, int64_t *setting, int64_t value)
{
	relay_free(bench->relay);
	*setting = value;
	bench_inflight = bench->inflight;
	cr_assert_eq(relay_new(&bench->config, &bench->journal, bench->inflight,
			 &bench->relay),
	    OK);
}

static void
bench_hold(struct bench *bench, bool hold)
{
	pthread_mutex_lock(&bench->journal.lock);
	bench->journal.hold = hold;
	pthread_cond_signal(&bench->journal.wake);
	pthread_mutex_unlock(&bench->journal.lock);
}

/* The line of the only end so far. */
static const char *
bench_line(struct bench *bench)
{
	pthread_mutex_lock(&bench->journal.lock);
	pthread_mutex_unlock(&bench->journal.lock);
	return bench->journal.lines;
}

/* The provider answers by scenario. */
static void
bench_scenario(struct bench *bench, const char *scenario)
{
	static char name[] = "fake", model[] = "m", upstream[] = "up-m",
		    key[] = "sk-test-1234567890";

	bench->at = bench->at == NULL ? bench->places : bench->at + 1;
	cr_assert_lt(bench->at, bench->places + PLACES);
	snprintf(bench->at->url, sizeof(bench->at->url),
	    "http://127.0.0.1:%d/%s", bench->fake.port, scenario);
	bench->at->provider = (struct catalog_provider){
		.name = name,
		.kind = provider_find("openai"),
		.base_url = bench->at->url,
		.key = key,
		.allow_local = true,
	};
	bench->at->target = (struct catalog_target){
		.provider = &bench->at->provider,
		.model = model,
		.upstream_model = upstream,
		.price = { 1000, 2000, 100, -1 },
	};
}

static void
bench_echo(struct bench *bench)
{
	bench_scenario(bench, "");
	bench->at->provider.kind = provider_find("echo");
	bench->at->provider.base_url = NULL;
}

/* A client: the other end of the socket that carries its answer. */
struct client {
	int fd;
	struct call *call; /* only valid until the answer's end */
};

static enum err
client_write(struct http_request *req, const void *data, size_t len)
{
	int fd = (int)(intptr_t)req->transport_data;
	const char *at = data;
	ssize_t n;

	for (; len > 0; at += n, len -= (size_t)n) {
		n = send(fd, at, len, MSG_NOSIGNAL);
		if (n <= 0)
			return ERR_GONE;
	}
	return OK;
}

static enum err
client_flush(struct http_request *req)
{
	(void)req;
	return OK;
}

static bool
client_writable(struct http_request *req)
{
	struct pollfd p = { .fd = (int)(intptr_t)req->transport_data,
		.events = POLLOUT };

	return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) != 0;
}

static int
client_fd(struct http_request *req)
{
	return (int)(intptr_t)req->transport_data;
}

static void
client_finish(struct http_request *req)
{
	int fd = (int)(intptr_t)req->transport_data;

	request_free(req);
	close(fd);
}

static const struct http_transport client_transport = { "test", client_write,
	client_flush, client_writable, client_fd, client_finish };

static void
sink_begin(struct call *call)
{
	if (call->stream)
		outlet_begin(call->outlet, 200, "text/event-stream");
}

struct given {
	const struct call *call;
	const struct call_event *event;
	bool noted;
};

static void
look_for(void *arg, const struct call_row *row)
{
	struct given *given = arg;
	size_t len = strlen(row->response_text);

	if (!uuid_equal(&row->id, &given->call->id))
		return;
	given->noted =
	    len == INFLIGHT_TEXT_MAX ||
	    (len >= given->event->text_len &&
		memcmp(row->response_text + len - given->event->text_len,
		    given->event->text, given->event->text_len) == 0);
}

/* What a client has is known to whoever has to end its call. */
static void
expect_noted(const struct call *call, const struct call_event *event)
{
	struct given given = { call, event, false };

	if (event->text_len == 0)
		return;
	inflight_each(bench_inflight, look_for, &given);
	cr_expect(given.noted);
}

static void
sink_event(struct call *call, const struct call_event *event)
{
	expect_noted(call, event);
	if (!event->done && (!event->usage_only || call->usage_asked))
		outlet_write(call->outlet, event->raw, event->raw_len);
}

static void
sink_end(struct call *call)
{
	struct http_request *req = outlet_request(call->outlet);
	struct buf error;

	buf_init(&error, 4096);
	if (call->end == CALL_COMPLETED && call->stream) {
		outlet_write(call->outlet, "data: [DONE]\n\n", 14);
	} else if (call->end == CALL_COMPLETED) {
		(void)response_json_text(req, 200, buf_str(&call->body),
		    call->body.len);
	} else if (outlet_begun(call->outlet)) {
		call_error_json(call, &error);
		sse_data(&error, "", 0);
		outlet_write(call->outlet, error.data, error.len);
	} else {
		(void)call_problem(call);
	}
	buf_fini(&error);
	outlet_finish(call->outlet);
}

static const struct call_sink sink = { sink_begin, sink_event, sink_end };

static struct http_request *
client_request(struct client *client)
{
	struct http_request *req = request_new();
	int pair[2];

	cr_assert(req != NULL);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	client->fd = pair[0];
	req->transport = &client_transport;
	req->transport_data = (void *)(intptr_t)pair[1];
	req->path = "/v1/chat/completions";
	memcpy(req->id, "req-1", 6);
	return req;
}

#define PROMPT                                                           \
	"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":" \
	"\"one two three\"}],\"temperature\":0.70,\"stream\":true}"

/* Starts a call; what relay_start() said.  When that is not OK, req is freed
 * here as a worker would do it. */
static enum err
client_start(struct bench *bench, struct client *client, bool stream)
{
	struct http_request *req = client_request(client);
	struct outlet *outlet = outlet_new(req);
	struct call *call = call_new(req, &sink, NULL);
	enum err err;

	cr_assert(outlet != NULL && call != NULL);
	call->target = &bench->at->target;
	call->stream = stream;
	call->request_json = PROMPT;
	call->request_len = strlen(PROMPT);
	client->call = call;
	err = relay_start(bench->relay, outlet, call);
	if (err != OK)
		client_finish(req);
	return err;
}

/* Everything until the end of the answer; the caller frees it. */
static char *
client_answer(struct client *client)
{
	struct buf all;
	char part[4096];
	char *text;
	size_t len;
	ssize_t n;

	buf_init(&all, 64 * 1024 * 1024);
	while ((n = recv(client->fd, part, sizeof(part), 0)) > 0)
		buf_add(&all, part, (size_t)n);
	close(client->fd);
	buf_addc(&all, '\0');
	cr_assert_eq(buf_take(&all, &text, &len), OK);
	return text;
}

/* The answer to one call of scenario. */
static char *
bench_ask(struct bench *bench, const char *scenario, bool stream)
{
	struct client client;

	bench_scenario(bench, scenario);
	cr_assert_eq(client_start(bench, &client, stream), OK);
	return client_answer(&client);
}

/* Waits up to 5 s for *value to reach at least want. */
static bool
reaches(atomic_int *value, int want)
{
	for (int i = 0; i < 500 && atomic_load(value) < want; i++)
		usleep(10000);
	return atomic_load(value) >= want;
}

#endif /* RELAY_BENCH_H */
