/*
 * sessions.h - /playground/sessions: the runs of the playground, kept.
 */
#ifndef API_SESSIONS_H
#define API_SESSIONS_H

#include "http/request.h"

/* {items, total, page, pageSize}, newest first; page and pageSize, or limit
 * and cursor. */
enum handled sessions_list(struct http_request *req);

/* One with its conversations, oldest first. */
enum handled sessions_get(struct http_request *req);

enum handled sessions_delete(struct http_request *req); /* 204 */

#endif /* API_SESSIONS_H */
