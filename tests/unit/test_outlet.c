/*
 * test_outlet.c - the client's queue: in order, never blocking, never after
 * the client left.
 */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "http/memory.h"
#include "http/response.h"
#include "llm/outlet.h"

struct bench {
	struct outlets outlets;
	struct memory_answer answer;
	struct http_transport transport;
	struct http_request *req;
	struct outlet *outlet;
	int left, room, over;
	bool stalled;
};

static void
on_left(void *arg, struct outlet *outlet, bool stalled)
{
	struct bench *bench = arg;

	(void)outlet;
	bench->left++;
	bench->stalled = stalled;
}

static void
on_room(void *arg, struct outlet *outlet)
{
	struct bench *bench = arg;

	(void)outlet;
	bench->room++;
}

static void
on_over(void *arg)
{
	struct bench *bench = arg;

	bench->over++;
}

static int client = -1; /* the descriptor of the next start() */

static int
fd_of_client(struct http_request *req)
{
	(void)req;
	return client;
}

static void
start(struct bench *bench)
{
	static const char *const envp[] = { "REQUEST_METHOD=POST",
		"REQUEST_URI=/v1/x", NULL };

	memset(bench, 0, sizeof(*bench));
	log_setup(LOG_ERROR, "test");
	cr_assert_eq(memory_request(envp, NULL, 0, &bench->answer, &bench->req),
	    OK);
	bench->transport = *bench->req->transport;
	bench->transport.fd = fd_of_client;
	bench->req->transport = &bench->transport;
	bench->outlets = (struct outlets){
		.loop = loop_new(),
		.stall_us = 1000000,
		.left = on_left,
		.room = on_room,
		.over = on_over,
		.arg = bench,
	};
	bench->outlet = outlet_new(bench->req);
	outlet_attach(&bench->outlets, bench->outlet);
}

static void
stop(struct bench *bench)
{
	if (bench->over == 0) {
		bench->answer.stuck = false;
		outlet_finish(bench->outlet);
		outlets_flush(&bench->outlets);
	}
	cr_expect_eq(bench->over, 1);
	cr_expect(bench->answer.finished);
	cr_expect(bench->outlets.all == NULL);
	memory_answer_fini(&bench->answer);
	loop_free(bench->outlets.loop);
}

static const char *
body_of(const struct bench *bench)
{
	const char *end = strstr(buf_str(&bench->answer.bytes), "\r\n\r\n");

	return end == NULL ? "" : end + 4;
}

Test(outlet, what_is_written_comes_out_in_order_after_the_head)
{
	struct bench bench;

	start(&bench);
	outlet_begin(bench.outlet, 200, "text/event-stream");
	outlet_begin(bench.outlet, 500, "text/plain");
	outlet_write(bench.outlet, "a", 1);
	outlet_write(bench.outlet, "b", 1);
	cr_expect_eq(bench.answer.bytes.len, 0, "nothing before the flush");
	outlets_flush(&bench.outlets);
	cr_expect_str_eq(body_of(&bench), "ab");
	cr_expect(strstr(bench.answer.bytes.data, "Status: 200") != NULL);
	cr_expect(outlet_begun(bench.outlet));
	outlet_write(bench.outlet, "c", 1);
	outlet_finish(bench.outlet);
	outlets_flush(&bench.outlets);
	cr_expect_str_eq(body_of(&bench), "abc");
	stop(&bench);
}

Test(outlet, a_client_whose_head_cannot_be_made_gets_an_error)
{
	struct bench bench;

	start(&bench);
	for (int i = 0; i < 1000; i++)
		response_header(bench.req, "X-Long", "0123456789");
	outlet_begin(bench.outlet, 200, "text/event-stream");
	outlet_write(bench.outlet, "a", 1);
	outlets_flush(&bench.outlets);
	cr_expect_eq(bench.left, 1);
	outlet_write(bench.outlet, "b", 1);
	outlet_finish(bench.outlet);
	outlets_flush(&bench.outlets);
	cr_expect_eq(strncmp(buf_str(&bench.answer.bytes), "Status: 503", 11),
	    0, "%s", buf_str(&bench.answer.bytes));
	stop(&bench);
}

Test(outlet, nothing_is_written_while_the_client_cannot_take_it)
{
	struct bench bench;

	start(&bench);
	bench.answer.stuck = true;
	outlet_begin(bench.outlet, 200, "text/event-stream");
	outlet_write(bench.outlet, "a", 1);
	outlets_flush(&bench.outlets);
	cr_expect_eq(bench.answer.bytes.len, 0);
	outlet_finish(bench.outlet);
	outlets_flush(&bench.outlets);
	cr_expect_eq(bench.over, 0, "it waits for its bytes");
	bench.answer.stuck = false;
	outlets_sweep(&bench.outlets, bench.outlet->wrote_us + 1000);
	cr_expect_eq(bench.over, 1);
	cr_expect_str_eq(body_of(&bench), "a");
	stop(&bench);
}

Test(outlet, it_is_full_at_the_ceiling_and_has_room_at_half)
{
	static char kilo[1024];
	struct bench bench;

	start(&bench);
	bench.answer.stuck = true;
	outlet_begin(bench.outlet, 200, "text/event-stream");
	for (int i = 0; i < 255; i++)
		outlet_write(bench.outlet, kilo, sizeof(kilo));
	cr_expect_not(outlet_full(bench.outlet));
	outlet_write(bench.outlet, kilo, sizeof(kilo));
	cr_expect(outlet_full(bench.outlet));
	outlets_flush(&bench.outlets);
	cr_expect_eq(bench.room, 0);
	bench.answer.stuck = false;
	outlets_sweep(&bench.outlets, bench.outlet->wrote_us);
	cr_expect_eq(bench.room, 1);
	stop(&bench);
}

Test(outlet, a_client_that_left_gets_nothing_more_and_is_told_once)
{
	struct bench bench;

	start(&bench);
	bench.answer.gone = true;
	outlet_begin(bench.outlet, 200, "text/event-stream");
	outlets_flush(&bench.outlets);
	cr_expect_eq(bench.left, 1);
	cr_expect_not(bench.stalled);
	outlet_write(bench.outlet, "x", 1);
	outlet_cut(bench.outlet, true);
	outlets_flush(&bench.outlets);
	cr_expect_eq(bench.left, 1);
	stop(&bench);
}

static void
nothing_after(void *arg)
{
	(void)arg;
}

/* As the relay's thread does. */
static void
go_round(struct bench *bench, int64_t until_us)
{
	int64_t due_us = outlets_due(&bench->outlets);

	cr_assert_eq(loop_round(bench->outlets.loop,
			 due_us < until_us ? due_us : until_us, nothing_after,
			 NULL),
	    OK);
	outlets_watch(&bench->outlets);
}

Test(outlet, a_client_that_left_before_it_was_watched_is_told_once)
{
	int64_t until_us = clock_mono_us() + 10000000;
	struct bench bench;
	int pair[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	client = pair[0];
	start(&bench);
	cr_expect_leq(outlets_due(&bench.outlets),
	    clock_mono_us() + OUTLET_WATCH_US);
	cr_expect_null(bench.outlet->watch);
	close(pair[1]);
	while (bench.left == 0 && clock_mono_us() < until_us)
		go_round(&bench, until_us);
	cr_expect_eq(bench.left, 1);
	cr_expect_not(bench.stalled);
	cr_expect_eq(outlets_due(&bench.outlets), INT64_MAX);
	go_round(&bench, clock_mono_us());
	cr_expect_eq(bench.left, 1);
	stop(&bench);
	close(pair[0]);
}

Test(outlet, whoever_is_answered_at_once_is_never_watched)
{
	struct bench bench;
	int pair[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	client = pair[0];
	start(&bench);
	outlet_finish(bench.outlet);
	outlets_flush(&bench.outlets);
	cr_expect_eq(bench.over, 1);
	cr_expect_eq(outlets_due(&bench.outlets), INT64_MAX);
	close(pair[1]);
	go_round(&bench, clock_mono_us());
	cr_expect_eq(bench.left, 0);
	stop(&bench);
	close(pair[0]);
}

Test(outlet, one_that_must_wait_for_its_client_watches_it_at_once)
{
	struct bench bench;
	int pair[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	client = pair[0];
	start(&bench);
	bench.answer.stuck = true;
	outlet_begin(bench.outlet, 200, "text/event-stream");
	outlets_flush(&bench.outlets);
	cr_expect_not_null(bench.outlet->watch);
	cr_expect_eq(outlets_due(&bench.outlets), INT64_MAX);
	close(pair[1]);
	go_round(&bench, clock_mono_us());
	cr_expect_eq(bench.left, 1);
	stop(&bench);
	close(pair[0]);
}

Test(outlet, a_reader_that_stalls_is_cut)
{
	struct bench bench;
	int64_t since_us;

	start(&bench);
	bench.answer.stuck = true;
	outlet_begin(bench.outlet, 200, "text/event-stream");
	outlet_write(bench.outlet, "x", 1);
	outlets_flush(&bench.outlets);
	since_us = bench.outlet->wrote_us;
	outlets_sweep(&bench.outlets, since_us + 900000);
	cr_expect_eq(bench.left, 0);
	outlets_sweep(&bench.outlets, since_us + 1100000);
	cr_expect_eq(bench.left, 1);
	cr_expect(bench.stalled);
	outlet_finish(bench.outlet);
	outlets_flush(&bench.outlets);
	stop(&bench);
}

Test(outlet, a_silent_stream_gets_heartbeats_and_other_answers_do_not)
{
	struct bench bench;
	int64_t later_us;

	start(&bench);
	outlets_sweep(&bench.outlets, bench.outlet->wrote_us + 60000000);
	cr_expect_eq(bench.answer.bytes.len, 0);
	outlet_begin(bench.outlet, 200, "text/event-stream");
	outlets_flush(&bench.outlets);
	later_us = bench.outlet->wrote_us + OUTLET_HEARTBEAT_US + 1;
	outlets_sweep(&bench.outlets, later_us);
	cr_expect_str_eq(body_of(&bench), ":\n\n");
	stop(&bench);
}

Test(outlet, the_end_waits_for_every_call)
{
	struct bench bench;

	start(&bench);
	bench.outlet->calls_open = 1;
	outlet_finish(bench.outlet);
	outlets_flush(&bench.outlets);
	cr_expect_eq(bench.over, 0);
	bench.outlet->calls_open = 0;
	outlet_finish(bench.outlet);
	outlets_flush(&bench.outlets);
	stop(&bench);
}

Test(outlet, a_large_whole_answer_never_blocks)
{
	struct bench bench;
	char *text = malloc(1000000);

	start(&bench);
	memset(text, 'x', 1000000);
	bench.answer.stuck = true;
	(void)response_json_text(bench.req, 200, text, 1000000);
	outlet_finish(bench.outlet);
	outlets_flush(&bench.outlets);
	cr_expect_eq(bench.over, 0);
	bench.answer.stuck = false;
	outlets_sweep(&bench.outlets, bench.outlet->wrote_us);
	cr_expect_eq(bench.over, 1);
	cr_expect_eq(strlen(body_of(&bench)), 1000000);
	cr_expect(strstr(bench.answer.bytes.data, "application/json") != NULL);
	free(text);
	stop(&bench);
}
