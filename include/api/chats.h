/*
 * chats.h - conversations: /api/chats and /api/v1/chats.
 */
#ifndef API_CHATS_H
#define API_CHATS_H

#include "http/request.h"

enum handled chats_create(struct http_request *req);
enum handled chats_list(struct http_request *req);
/* A substring of title or a tag, in any letter case. */
enum handled chats_search(struct http_request *req);
enum handled chats_get(struct http_request *req);
enum handled chats_update(struct http_request *req);
enum handled chats_delete(struct http_request *req);

#endif /* API_CHATS_H */
