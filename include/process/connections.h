/*
 * connections.h - the connections of a worker: which is idle, which has a
 * request, and how idle ones leave when the worker drains.
 *
 * A connection is armed in the worker's epoll (EPOLLONESHOT) while idle and
 * disarmed while a request of it is in some thread's hands.
 *
 *            event                     answered, kept
 *   idle ───────────▶ busy ───────────────────────────▶ idle
 *    │                 └─ answered, not kept, or peer gone ─▶ closed
 *    └─ draining: handed to another worker, or closed
 */
#ifndef PROCESS_CONNECTIONS_H
#define PROCESS_CONNECTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "http/request.h"

struct connections;
struct link; /* one connection */

/* The epoll is borrowed; links are what its events carry.
 * NULL when memory is short. */
struct connections *connections_new(int epoll_fd);
void connections_free(struct connections *set); /* closes what is left */

/* Takes fd over and arms it.  On failure fd is closed. */
enum err connections_add(struct connections *set, int fd) MUST_CHECK;

/*
 * Claims the connection of an event (a hang-up is found by reading).  Draining, or claimed by another thread:
 * false, and the link must not be touched.
 */
bool connections_claim(struct connections *set, struct link *link);

/* Reads the request of a claimed connection.  ERR_GONE: it is closed. */
enum err connections_read(struct connections *set, struct link *link,
    size_t body_max, struct http_request **out) MUST_CHECK;

/*
 * From now on idle connections leave: to handover_fd, or closed when that is
 * -1.  Requests on busy ones are answered first.
 */
void connections_drain(struct connections *set, int handover_fd);

/* Idle ones that have something to be read; counted up to enough. */
size_t connections_waiting(struct connections *set, size_t enough);

size_t connections_open(const struct connections *set);
size_t connections_busy(const struct connections *set);
uint64_t connections_answered(const struct connections *set);

#endif /* PROCESS_CONNECTIONS_H */
