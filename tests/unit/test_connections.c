/*
 * test_connections.c - connections are idle or busy, and leave when a worker
 * drains.
 */
#include "process/connections.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "http/fcgi.h"
#include "http/response.h"
#include "process/listener.h"

#define PAIRS    5
#define BODY_MAX 1000

static struct connections *set;
static int epoll_fd;
static int peers[PAIRS]; /* nginx's ends */

static void
setup(void)
{
	log_setup(LOG_ERROR, "test");
	cr_assert_eq(fcgi_setup(), OK);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	set = connections_new(epoll_fd);
	cr_assert_not_null(set);
	for (size_t i = 0; i < PAIRS; i++)
		peers[i] = -1;
}

static void
teardown(void)
{
	connections_free(set);
	for (size_t i = 0; i < PAIRS; i++) {
		if (peers[i] >= 0)
			(void)close(peers[i]);
	}
	(void)close(epoll_fd);
}

TestSuite(connections, .init = setup, .fini = teardown, .timeout = 20);

static void
open_peers(size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int ends[2];

		cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
				 ends),
		    0);
		peers[i] = ends[0];
		cr_assert_eq(connections_add(set, ends[1]), OK);
	}
}

/* The link of the next event; NULL: there is none. */
static struct link *
next_event(void)
{
	struct epoll_event event;

	return epoll_wait(epoll_fd, &event, 1, 0) == 1 ? event.data.ptr : NULL;
}

/* A GET of /, on a connection that is kept. */
static void
ask(int peer)
{
	static const char request[] = "\1\1\0\1\0\10\0\0\0\1\1\0\0\0\0\0"
				      "\1\4\0\1\0\41\0\0"
				      "\16\3REQUEST_METHODGET\13\1REQUEST_URI/"
				      "\1\4\0\1\0\0\0\0"
				      "\1\5\0\1\0\0\0\0";

	cr_assert_eq(send(peer, request, sizeof(request) - 1, MSG_NOSIGNAL),
	    sizeof(request) - 1);
}

static bool
is_closed(int peer)
{
	char byte;

	return recv(peer, &byte, 1, MSG_DONTWAIT) == 0;
}

static struct http_request *
read_of(struct link *link)
{
	struct http_request *req = NULL;

	cr_assert_not_null(link);
	cr_assert(connections_claim(set, link));
	cr_assert_eq(connections_read(set, link, BODY_MAX, &req), OK);
	return req;
}

static void
answer(struct http_request *req)
{
	(void)response_empty(req, 204);
	request_finish(req);
}

Test(connections, an_idle_one_is_not_busy)
{
	open_peers(3);
	cr_expect_eq(connections_open(set), 3);
	cr_expect_eq(connections_busy(set), 0);
	cr_expect_null(next_event());
}

Test(connections, an_event_is_claimed_by_one_thread)
{
	struct link *link;

	open_peers(1);
	ask(peers[0]);
	link = next_event();
	cr_assert_not_null(link);
	cr_expect_null(next_event(), "a second thread is told");
	cr_expect(connections_claim(set, link));
	cr_expect_not(connections_claim(set, link));
	cr_expect_eq(connections_busy(set), 1);
}

Test(connections, after_its_answer_a_kept_one_is_armed_again)
{
	open_peers(1);
	for (unsigned i = 1; i <= 3; i++) {
		ask(peers[0]);
		answer(read_of(next_event()));
		cr_expect_eq(connections_answered(set), i);
		cr_expect_eq(connections_busy(set), 0);
		cr_expect_eq(connections_open(set), 1);
	}
}

Test(connections, a_peer_that_hangs_up_leaves_nothing)
{
	struct http_request *req = NULL;
	struct link *link;

	open_peers(1);
	(void)close(peers[0]);
	peers[0] = -1;
	link = next_event();
	cr_assert_not_null(link);
	cr_assert(connections_claim(set, link));
	cr_expect_eq(connections_read(set, link, BODY_MAX, &req), ERR_GONE);
	cr_expect_eq(connections_open(set), 0);
	cr_expect_eq(connections_busy(set), 0);
}

Test(connections, those_with_something_to_read_are_counted)
{
	open_peers(PAIRS);
	cr_expect_eq(connections_waiting(set, 10), 0);
	for (size_t i = 0; i < PAIRS; i++) {
		ask(peers[i]);
		cr_expect_eq(connections_waiting(set, 10), i + 1);
	}
	cr_expect_eq(connections_waiting(set, 2), 2, "no further than enough");
}

Test(connections, one_in_hand_does_not_wait)
{
	struct http_request *req;

	open_peers(2);
	ask(peers[0]);
	ask(peers[1]);
	req = read_of(next_event());
	cr_expect_eq(connections_waiting(set, 10), 1);
	answer(req);
	cr_expect_eq(connections_waiting(set, 10), 1);
}

Test(connections, draining_closes_idle_ones)
{
	open_peers(2);
	connections_drain(set, -1);
	for (int i = 0; i < 2; i++)
		cr_expect_not(connections_claim(set, next_event()));
	cr_expect(is_closed(peers[0]));
	cr_expect(is_closed(peers[1]));
	cr_expect_eq(connections_open(set), 0);
}

Test(connections, draining_answers_what_is_there_already)
{
	struct http_request *in_hand;

	open_peers(2);
	ask(peers[0]);
	in_hand = read_of(next_event());
	ask(peers[1]);
	connections_drain(set, -1);
	answer(read_of(next_event()));
	cr_expect_not(is_closed(peers[1]), "its answer waits");
	answer(in_hand);
	cr_expect_eq(connections_answered(set), 2);
	cr_expect_eq(connections_open(set), 0);
	cr_expect_eq(connections_busy(set), 0);
}

Test(connections, draining_hands_over_with_what_waits_unread)
{
	int ends[2], fd = -1;

	cr_assert_eq(socketpair(AF_UNIX,
			 SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
			 ends),
	    0);
	open_peers(1);
	ask(peers[0]);
	connections_drain(set, ends[0]);
	cr_expect_not(connections_claim(set, next_event()));
	cr_expect_eq(connections_open(set), 0);
	cr_expect_not(is_closed(peers[0]));
	cr_assert_eq(listener_receive_fd(ends[1], &fd), OK);
	connections_free(set);
	set = connections_new(epoll_fd); /* the other worker's */
	cr_assert_not_null(set);
	cr_assert_eq(connections_add(set, fd), OK);
	answer(read_of(next_event()));
	cr_expect_eq(connections_answered(set), 1);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

Test(connections, one_that_comes_while_draining_leaves_at_once)
{
	connections_drain(set, -1);
	open_peers(1);
	cr_expect_not(connections_claim(set, next_event()));
	cr_expect(is_closed(peers[0]));
	cr_expect_eq(connections_open(set), 0);
}
