/*
 * chat_context.h - a chat's messages as the context of a model call.
 */
#ifndef API_CHAT_CONTEXT_H
#define API_CHAT_CONTEXT_H

#include "base/err.h"
#include "http/request.h"
#include "llm/catalog.h"
#include "json/read.h"

#define CHAT_CONTEXT_MESSAGES 1000 /* as in sql/queries/messages/context.sql */

/*
 * The OpenAI request for target with the newest messages of the caller's chat
 * that fit into its context, cut from the oldest, and the fields of body that
 * say how to answer (temperature, tools and the like).  Text in the arena.
 */
enum err chat_context_request(struct http_request *req, const char *chat_id,
    const struct catalog_target *target, const struct jsonr *body,
    const char **out) MUST_CHECK;

#endif /* API_CHAT_CONTEXT_H */
