/*
 * after.h - what blocks after a model call: rows to store before its client
 * may hear of the end (P1).
 *
 * A sink's end() runs in the relay thread and may not wait for PostgreSQL.  It
 * hands the call over instead, and the answer goes out in then():
 *
 *	relay:  sink->end(call) ─▶ after_call(after, call, &steps)
 *	pool:   err = steps->work(call, db)    tried again while PostgreSQL
 *	                                       is away, up to AFTER_TRY_MS
 *	relay:  steps->then(call, err)         writes, outlet_finish()
 *
 * The outlet stays open meanwhile: it ends with outlet_finish(), as ever.  A
 * call may be handed over again from then().
 */
#ifndef API_AFTER_H
#define API_AFTER_H

#include "base/err.h"
#include "config/config.h"
#include "db/db.h"
#include "llm/call.h"
#include "llm/relay.h"

struct after; /* the threads and their queue; one a worker */

/* From the end of the call; less than what a drain waits for records. */
#define AFTER_TRY_MS 4000

struct after_steps {
	/*
	 * In a thread that may block, with a connection of its own.  The call
	 * is over and does not change; it and who asks (req->who, req->id) may
	 * be read.  The request's arena, its answer and the outlet are not to
	 * be touched: other calls of the outlet may be using them.  What then()
	 * needs goes into call->sink_data.
	 * ERR_BUSY and ERR_TIMEOUT: tried again, so it has to be safe to do
	 * twice (an id made before, on conflict do nothing).
	 */
	enum err (*work)(struct call *call, struct db *db);
	/*
	 * In the relay thread, exactly once.  err is what work came to: not OK
	 * means that nothing is stored, and an honest end (an error in place of
	 * the answer, a stream without its terminator).
	 */
	void (*then)(struct call *call, enum err err);
};

/* Starts the threads; config is borrowed. */
enum err after_start(const struct config *config, struct relay *relay,
    struct after **out) MUST_CHECK;
/* Ends them after what is queued is done; nothing is tried again any more.
 * Before relay_free().  NULL is legal. */
void after_stop(struct after *after);

/*
 * Relay thread.  Never blocks and never fails: without memory, or without a
 * place in the queue, then() is called at once with ERR_MEMORY or ERR_BUSY.
 * steps is borrowed until then() was called.
 */
void after_call(struct after *after, struct call *call,
    const struct after_steps *steps);

/* err of work as a failure of the call: "log_unavailable" or "internal_error",
 * for then() to answer with (call_problem(), call_error_json()). */
void after_fail(struct call *call, enum err err);

#endif /* API_AFTER_H */
