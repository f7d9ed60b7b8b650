/*
 * llm_common.h - what every family needs to start a model call: the target of
 * a model name, the request as OpenAI JSON, the hand-over to the relay.
 *
 *	target = llm_target_or_reply(req, model, &snapshot);
 *	if (target == NULL)
 *		return ANSWERED;
 *	call = llm_call_new(req, &sink, data, target, snapshot);
 *	if (call == NULL)
 *		return problem_of(req, ERR_MEMORY);
 *	call->kind = "question";
 *	... llm_request_json(), stream, texts ...
 *	return llm_start_or_reply(req, call);
 */
#ifndef API_LLM_COMMON_H
#define API_LLM_COMMON_H

#include <stddef.h>

#include "http/request.h"
#include "llm/call.h"
#include "llm/catalog.h"
#include "json/read.h"

/*
 * Where model goes (NULL or "": the default model).  *snapshot is a reference
 * that the caller owns, normally passed on to llm_call_new().  NULL when the
 * client was answered: 404 model_not_found naming the models that exist, 503.
 */
const struct catalog_target *llm_target_or_reply(struct http_request *req,
    const char *model, struct snapshot **snapshot);

/*
 * A call to target, kind "chat.completion" until the caller says otherwise.
 * Takes the reference of snapshot over in every case: NULL (no memory, no
 * randomness) has released it.
 */
struct call *llm_call_new(struct http_request *req,
    const struct call_sink *sink, void *sink_data,
    const struct catalog_target *target, struct snapshot *snapshot);

/* What a client's body says for the log: NULL when it does not, and when it does
 * not fit there (it still goes to the provider).  Borrowed from body. */
struct llm_notes {
	const char *user;
	const char *metadata; /* an object */
};
void llm_notes_read(const struct jsonr *body, struct llm_notes *out);

struct llm_message {
	const char *role;    /* "system", "user", "assistant" */
	const char *content; /* plain text */
};

/* Sets call's request_json to {"model","messages":[...]}, in the arena. */
enum err llm_request_json(struct http_request *req, struct call *call,
    const struct llm_message *messages, size_t count) MUST_CHECK;

/* The messages of count whose estimated tokens fit into half of the target's
 * context, counted from the last: the index of the first that stays.  The last
 * one always stays; 0 when the context is unknown and the whole is small. */
size_t llm_context_from(const struct catalog_target *target,
    const struct llm_message *messages, size_t count);

/*
 * Starts calls (linked by next) for req.  PARKED: the relay owns req and all;
 * ANSWERED: they were not started and the client was told (503 and so on).
 */
enum handled llm_start_or_reply(struct http_request *req, struct call *calls);

#endif /* API_LLM_COMMON_H */
