/*
 * minichat.h - /openai/question and /openai/stream: one question, one answer,
 * with the chat so far as context.
 *
 * Without a chatId it is the user's own chat, whose id is the user's.
 */
#ifndef API_MINICHAT_H
#define API_MINICHAT_H

#include "http/request.h"

/* 201 with the answer as text, or as JSON when Accept names that; or events
 * when Accept names those or the body says stream. */
enum handled minichat_question(struct http_request *req);

/* Events: {"type":"chunk","content"}*, then {"type":"done","id"} or
 * {"type":"error","message"}. */
enum handled minichat_stream(struct http_request *req);

#endif /* API_MINICHAT_H */
