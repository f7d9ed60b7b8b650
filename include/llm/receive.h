/*
 * receive.h - the answer of a provider as it comes in; see progress.h.
 */
#ifndef LLM_RECEIVE_H
#define LLM_RECEIVE_H

#include <stdbool.h>
#include <stddef.h>

#include "llm/progress.h"

/* The provider took the call: it answered 2xx. */
bool receive_accepted(const struct call *call);

/* Of struct transfer_events; arg is the progress. */
void receive_head(void *arg, const struct transfer_head *head);
enum transfer_verdict receive_bytes(void *arg, const char *data, size_t len);

/* Tells the sink that the answer begins, once. */
void receive_begin(struct progress *progress);

/* call->text has a whole answer: keeps it up to the ceiling, and in the shared
 * memory that outlives the worker. */
void receive_text(struct progress *progress);

#endif /* LLM_RECEIVE_H */
