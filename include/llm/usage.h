/*
 * usage.h - the tokens of a call: read from an answer, or estimated.
 */
#ifndef LLM_USAGE_H
#define LLM_USAGE_H

#include "llm/call.h"
#include "json/read.h"

/* Reads OpenAI's usage object into call->usage; anything else is left alone. */
void usage_read(struct call *call, const struct jsonr *usage);

/* Estimated tokens of the text in an OpenAI messages array. */
int64_t usage_of_messages(const struct jsonr *messages);

/* Fills in the counts that were not reported, marked as estimated. */
void usage_estimate(struct call *call);

/*
 * Fills in what a call used that somebody else has to end: the tokens of its
 * answer by estimate, and what all of it cost, unless it is known already.
 */
void usage_estimate_end(struct call_row *row);

#endif /* LLM_USAGE_H */
