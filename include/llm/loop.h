/*
 * loop.h - one epoll and what to call when a descriptor of it is ready.
 *
 * Belongs to one thread.  A watch that was removed is never called again, not
 * even for an event of it that epoll reported already; its memory is freed when
 * the round is over.
 */
#ifndef LLM_LOOP_H
#define LLM_LOOP_H

#include <stdint.h>

#include "base/err.h"

struct loop;
struct watch;

typedef void (*loop_fn)(void *arg, int fd, uint32_t events);

struct loop *loop_new(void); /* NULL: no memory or no descriptor */
void loop_free(struct loop *loop);

/* events as of epoll(7), level-triggered.  NULL when memory is short or the
 * descriptor cannot be watched. */
struct watch *loop_add(struct loop *loop, int fd, uint32_t events, loop_fn fn,
    void *arg);
void loop_change(struct loop *loop, struct watch *watch, uint32_t events);
void loop_remove(struct loop *loop, struct watch *watch); /* accepts NULL */

/* Waits at most until due_us (monotonic) and calls what is ready; after each
 * of them, after(arg).  ERR_SYSTEM when epoll fails. */
enum err loop_round(struct loop *loop, int64_t due_us, void (*after)(void *arg),
    void *arg) MUST_CHECK;

/* From any thread: since when (monotonic) its thread has been at work; 0: it
 * waits. */
int64_t loop_busy_since_us(const struct loop *loop);

#endif /* LLM_LOOP_H */
