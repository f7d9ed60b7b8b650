/*
 * connections.c - the set of a worker's connections.
 *
 * The lock guards the list, every link's state and the drain fields; it is
 * held for a few instructions.  A link that leaves after draining began is not
 * freed before connections_free(): an event for it may still be on its way to
 * a thread.
 */
#include "process/connections.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/log.h"
#include "http/fcgi.h"
#include "process/listener.h"

#define LOOK_AT_ONCE 256 /* sockets */

enum link_state {
	LINK_IDLE, /* armed in epoll */
	LINK_BUSY, /* a thread, the relay or the journal has its request */
	LINK_LEFT  /* closed or handed over; only memory */
};

struct link {
	struct connections *set;
	struct fcgi_conn *conn;
	enum link_state state;
	struct link *next, *prev;
};

struct connections {
	pthread_mutex_t lock;
	int epoll_fd;
	bool draining;
	int handover_fd;
	struct link *links;
	struct link *left; /* of a draining set, freed at its end */
	atomic_size_t open, busy;
	atomic_ullong answered;
};

static void request_over(struct fcgi_conn *conn, bool keep, void *arg);

struct connections *
connections_new(int epoll_fd)
{
	struct connections *set = calloc(1, sizeof(*set));

	if (set == NULL)
		return NULL;
	pthread_mutex_init(&set->lock, NULL);
	set->epoll_fd = epoll_fd;
	set->handover_fd = -1;
	return set;
}

static void
unlink_locked(struct connections *set, struct link *link)
{
	if (link->prev != NULL)
		link->prev->next = link->next;
	else
		set->links = link->next;
	if (link->next != NULL)
		link->next->prev = link->prev;
	link->prev = NULL;
	link->next = NULL;
}

/* Takes a link out of the set; its fcgi_conn is freed by the caller. */
static void
leave(struct connections *set, struct link *link)
{
	bool keep_memory;

	pthread_mutex_lock(&set->lock);
	unlink_locked(set, link);
	link->state = LINK_LEFT;
	keep_memory = set->draining;
	if (keep_memory) {
		link->next = set->left;
		set->left = link;
	}
	pthread_mutex_unlock(&set->lock);
	if (!keep_memory)
		free(link);
	atomic_fetch_sub(&set->open, 1);
}

static void
close_link(struct connections *set, struct link *link)
{
	struct fcgi_conn *conn = link->conn;

	leave(set, link);
	fcgi_conn_free(conn);
}

static enum err
arm(struct link *link, int operation, uint32_t events)
{
	struct epoll_event event = { .events = events | EPOLLONESHOT,
		.data.ptr = link };

	return epoll_ctl(link->set->epoll_fd, operation,
		   fcgi_conn_fd(link->conn), &event) == 0
		   ? OK
		   : ERR_SYSTEM;
}

static struct link *
link_new(struct connections *set, int fd)
{
	struct link *link = calloc(1, sizeof(*link));

	if (link == NULL)
		return NULL;
	link->set = set;
	link->conn = fcgi_conn_new(fd, request_over, link);
	if (link->conn == NULL) {
		free(link);
		return NULL;
	}
	return link;
}

enum err
connections_add(struct connections *set, int fd)
{
	struct link *link = link_new(set, fd);
	enum err err;

	if (link == NULL) {
		(void)close(fd); /* nginx answers 502 */
		return ERR_MEMORY;
	}
	atomic_fetch_add(&set->open, 1);
	pthread_mutex_lock(&set->lock);
	link->next = set->links;
	if (set->links != NULL)
		set->links->prev = link;
	set->links = link;
	/* a set that drains looks at it at once, by EPOLLOUT */
	err = arm(link, EPOLL_CTL_ADD,
	    set->draining ? EPOLLIN | EPOLLOUT : EPOLLIN);
	pthread_mutex_unlock(&set->lock);
	if (err != OK)
		close_link(set, link);
	return err;
}

/* Nothing waits to be read: the peer has not sent the next request. */
static bool
is_silent(const struct link *link)
{
	struct pollfd ready = { .fd = fcgi_conn_fd(link->conn),
		.events = POLLIN };

	return poll(&ready, 1, 0) == 0;
}

static void
hand_over(struct connections *set, struct link *link)
{
	struct fcgi_conn *conn = link->conn;
	int fd = fcgi_conn_take_fd(conn);

	(void)epoll_ctl(set->epoll_fd, EPOLL_CTL_DEL, fd, NULL); /* leaves */
	if (listener_send_fd(set->handover_fd, fd) != OK)
		log_warn_errno("a connection could not be handed over");
	(void)close(fd); /* our copy; the other worker has its own */
	leave(set, link);
	fcgi_conn_free(conn);
}

/*
 * What a draining worker does with a connection that has no request in hand.
 * Handed over with whatever waits in it unread.  Without anybody to take it, a
 * request that is there already is still answered: false.
 */
static bool
send_away(struct connections *set, struct link *link)
{
	if (set->handover_fd >= 0) {
		hand_over(set, link);
		return true;
	}
	if (is_silent(link)) {
		close_link(set, link);
		return true;
	}
	return false;
}

bool
connections_claim(struct connections *set, struct link *link)
{
	bool claimed;
	bool draining;

	pthread_mutex_lock(&set->lock);
	claimed = link->state == LINK_IDLE;
	if (claimed) {
		link->state = LINK_BUSY;
		atomic_fetch_add(&set->busy, 1); /* a drain counts on it */
	}
	draining = set->draining;
	pthread_mutex_unlock(&set->lock);
	if (claimed && draining && send_away(set, link)) {
		atomic_fetch_sub(&set->busy, 1);
		return false;
	}
	return claimed;
}

enum err
connections_read(struct connections *set, struct link *link, size_t body_max,
    struct http_request **out)
{
	enum err err = fcgi_read(link->conn, body_max, out);

	if (err == OK)
		return OK;
	close_link(set, link);
	atomic_fetch_sub(&set->busy, 1);
	return ERR_GONE;
}

/* After the answer, in whatever thread gave it. */
static void
request_over(struct fcgi_conn *conn, bool keep, void *arg)
{
	struct link *link = arg;
	struct connections *set = link->set;
	enum err err = ERR_GONE;
	bool draining;

	(void)conn; /* it is link->conn */
	atomic_fetch_add(&set->answered, 1);
	pthread_mutex_lock(&set->lock);
	draining = set->draining;
	if (keep && !draining) {
		link->state = LINK_IDLE;
		err = arm(link, EPOLL_CTL_MOD, EPOLLIN);
	}
	pthread_mutex_unlock(&set->lock);
	if (keep && draining && set->handover_fd >= 0)
		hand_over(set, link);
	else if (err != OK)
		close_link(set, link);
	atomic_fetch_sub(&set->busy, 1);
}

void
connections_drain(struct connections *set, int handover_fd)
{
	pthread_mutex_lock(&set->lock);
	set->draining = true;
	set->handover_fd = handover_fd;
	/* Idle sockets are writable, so each one fires once and is sent away
	 * by the thread that gets it. */
	for (struct link *link = set->links; link != NULL; link = link->next) {
		if (link->state != LINK_IDLE)
			continue;
		if (arm(link, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT) != OK)
			log_warn_errno("a connection could not be drained");
	}
	pthread_mutex_unlock(&set->lock);
}

void
connections_free(struct connections *set)
{
	struct link *next;

	if (set == NULL)
		return;
	for (struct link *link = set->links; link != NULL; link = next) {
		next = link->next;
		fcgi_conn_free(link->conn);
		free(link);
	}
	for (struct link *link = set->left; link != NULL; link = next) {
		next = link->next;
		free(link);
	}
	pthread_mutex_destroy(&set->lock);
	free(set);
}

static size_t
count_readable(struct pollfd *fds, size_t len)
{
	size_t count = 0;

	if (len == 0 || poll(fds, len, 0) <= 0)
		return 0;
	for (size_t i = 0; i < len; i++)
		count += fds[i].revents != 0;
	return count;
}

size_t
connections_waiting(struct connections *set, size_t enough)
{
	struct pollfd fds[LOOK_AT_ONCE];
	size_t len = 0, count = 0;

	pthread_mutex_lock(&set->lock);
	for (const struct link *link = set->links;
	     link != NULL && count < enough; link = link->next) {
		if (link->state != LINK_IDLE)
			continue;
		fds[len++] = (struct pollfd){ .fd = fcgi_conn_fd(link->conn),
			.events = POLLIN };
		if (len < LOOK_AT_ONCE)
			continue;
		count += count_readable(fds, len);
		len = 0;
	}
	if (count < enough)
		count += count_readable(fds, len);
	pthread_mutex_unlock(&set->lock);
	return count < enough ? count : enough;
}

size_t
connections_open(const struct connections *set)
{
	return atomic_load(&set->open);
}

size_t
connections_busy(const struct connections *set)
{
	return atomic_load(&set->busy);
}

uint64_t
connections_answered(const struct connections *set)
{
	return atomic_load(&set->answered);
}
