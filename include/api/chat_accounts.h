/*
 * chat_accounts.h - the chats family's users: /api/users/...  chats_register
 * and chats_login hash.
 */
#ifndef API_CHAT_ACCOUNTS_H
#define API_CHAT_ACCOUNTS_H

#include "http/request.h"

enum handled chats_register(struct http_request *req);
enum handled chats_login(struct http_request *req);
enum handled chats_profile(struct http_request *req);
enum handled chats_generate_key(struct http_request *req);

#endif /* API_CHAT_ACCOUNTS_H */
