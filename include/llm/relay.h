/*
 * relay.h - the thread of a worker that runs every model call.
 *
 * One curl_multi with curl_multi_socket_action over epoll; the same epoll
 * watches clients (EPOLLRDHUP, and EPOLLOUT while one does not read).
 */
#ifndef LLM_RELAY_H
#define LLM_RELAY_H

#include <stdint.h>

#include "base/err.h"
#include "config/config.h"
#include "journal/inflight.h"
#include "journal/journal.h"

struct relay;

/* Starts the thread.  All borrowed for the relay's life. */
enum err relay_new(const struct config *config, struct journal *journal,
    struct inflight *inflight, struct relay **out) MUST_CHECK;

/* No new calls are taken; returns when none is left, or at the deadline after
 * ending the rest as failed ("shutting_down") with their records kept. */
void relay_drain(struct relay *relay, int64_t deadline_us);
void relay_free(struct relay *relay);

/*
 * Has task->run(task->arg) called in the relay's thread, soon; any thread.  The
 * task is the caller's memory and not touched any more once run is called.
 */
struct relay_task {
	struct relay_task *next;
	void (*run)(void *arg);
	void *arg;
};
void relay_post(struct relay *relay, struct relay_task *task);

struct relay_stats {
	uint64_t started, completed, failed, cancelled;
	uint64_t open;
};
void relay_stats(const struct relay *relay, struct relay_stats *out);

/* Since when (monotonic) its thread has been at work; 0: it waits for some. */
int64_t relay_busy_since_us(const struct relay *relay);

#endif /* LLM_RELAY_H */
