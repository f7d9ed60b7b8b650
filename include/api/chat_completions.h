/*
 * chat_completions.h - POST /api/chats/:id/completions.
 */
#ifndef API_CHAT_COMPLETIONS_H
#define API_CHAT_COMPLETIONS_H

#include "http/request.h"

/*
 * Stores the user's message, sends the chat as context, answers as
 * /v1/chat/completions does and stores the answer before its end goes out.
 */
enum handled chat_completions(struct http_request *req);

#endif /* API_CHAT_COMPLETIONS_H */
