/*
 * gateway.h - the OpenAI-compatible routes that call models and list them.
 */
#ifndef API_GATEWAY_H
#define API_GATEWAY_H

#include "http/request.h"
#include "llm/call.h"

enum handled gateway_chat_completions(struct http_request *req);
enum handled gateway_models_list(struct http_request *req);
enum handled gateway_model_get(struct http_request *req);

/*
 * The functions of the sink that answers as /v1/chat/completions does, for
 * sinks that do more than that: relay thread.
 */
void gateway_begin(struct call *call);
void gateway_event(struct call *call, const struct call_event *event);
void gateway_end(struct call *call); /* ends the outlet */

#endif /* API_GATEWAY_H */
