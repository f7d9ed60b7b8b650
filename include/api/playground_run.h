/*
 * playground_run.h - a run: what the client of several calls is sent, and what
 * is stored of each when it is over.
 *
 *	{"type":"session","sessionId"}
 *	then of each model, between those of the others:
 *	{"type":"status","model","status":"streaming"}
 *	{"type":"chunk","model","content","timestamp"}*
 *	{"type":"metrics","model","tokensUsed","cost","responseTime"}
 *	{"type":"status","model","status":"complete"}
 *	or, in place of the last two,
 *	{"type":"status","model","status":"error","message"}
 */
#ifndef API_PLAYGROUND_RUN_H
#define API_PLAYGROUND_RUN_H

#include <stddef.h>

#include "http/request.h"
#include "llm/call.h"
#include "llm/relay.h"

struct run; /* in the request's arena; from relay_start() on the relay's */

/* Of as many calls as models; session is borrowed.  NULL: no memory. */
struct run *run_new(struct http_request *req, const char *session,
    size_t models);

extern const struct call_sink run_sink;

/* The sink_data of the call to model, as its client names it (borrowed); the
 * call's id is its turn's and its session_id the session's.  NULL: no memory. */
void *run_turn(struct http_request *req, struct run *run, const char *model);

/*
 * Sends the head and the session's id as soon as the relay has the run, before
 * any model has answered.  run_opener_new() before relay_start(); after it,
 * when the run is not ours any more, run_opener_post(), or run_opener_free()
 * when it was not taken.  NULL (no memory) is legal in both: then the session's
 * id goes out with the first event.
 */
struct run_opener;
struct run_opener *run_opener_new(struct relay *relay, struct run *run,
    struct call *calls);
void run_opener_post(struct run_opener *opener);
void run_opener_free(struct run_opener *opener);

#endif /* API_PLAYGROUND_RUN_H */
