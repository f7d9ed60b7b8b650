/*
 * messages.h - the messages of a chat: /api/:chatId/messages and
 * /api/messages/:chatId, both also under /api/v1.
 */
#ifndef API_MESSAGES_H
#define API_MESSAGES_H

#include <stddef.h>

#include "api/message.h"
#include "http/request.h"

enum handled messages_create(struct http_request *req);
enum handled messages_create_many(struct http_request *req);
enum handled messages_list(struct http_request *req);
enum handled messages_get(struct http_request *req);
enum handled messages_update(struct http_request *req);
enum handled messages_delete(struct http_request *req);

/*
 * Stores messages in the caller's chat, in order, all or none, and fills in what
 * they got: id (unless it has one), chat_id, created, updated.  ERR_MISSING:
 * there is no such chat.
 */
enum err messages_add(struct http_request *req, const char *chat_id,
    struct message *messages, size_t count) MUST_CHECK;

/* An id for a question that is about to be added.  What earlier attempts at the
 * request asked without an answer is gone then. */
enum err messages_ask_id(struct http_request *req, const char *chat_id,
    struct message *message) MUST_CHECK;

#endif /* API_MESSAGES_H */
