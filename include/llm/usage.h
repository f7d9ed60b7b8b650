/*
 * usage.h - the tokens of a call: read from an answer, or estimated.
 */
#ifndef LLM_USAGE_H
#define LLM_USAGE_H

#include "llm/call.h"
#include "json/read.h"

/* Reads OpenAI's usage object into call->usage; anything else is left alone. */
void usage_read(struct call *call, const struct jsonr *usage);

/*
 * Tokens of an OpenAI request's prompt by estimate: of the texts of its messages,
 * of tools and of whatever else there is to read; a picture counts as 1,000, and
 * sound, films and files as that and more; at least 1.  What a call reserves and
 * what one without usage is charged are this.
 */
int64_t usage_of_prompt(const struct jsonr *request);

/* Counts what was generated, into call->generated: a choice's message, or the
 * delta of one. */
void usage_add(struct call *call, const struct jsonr *message);

/* Fills in the counts that were not reported, marked as estimated: the prompt's
 * as it was reserved, the answer's by what was generated. */
void usage_estimate(struct call *call);

/*
 * Fills in what a call used that somebody else has to end: the tokens of its
 * answer by estimate, and what all of it cost, unless it is known already.
 */
void usage_estimate_end(struct call_row *row);

#endif /* LLM_USAGE_H */
