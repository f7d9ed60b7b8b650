/*
 * gateway.h - the OpenAI-compatible routes that call models and list them.
 */
#ifndef API_GATEWAY_H
#define API_GATEWAY_H

#include "http/request.h"

enum handled gateway_chat_completions(struct http_request *req);
enum handled gateway_models_list(struct http_request *req);
enum handled gateway_model_get(struct http_request *req);

#endif /* API_GATEWAY_H */
