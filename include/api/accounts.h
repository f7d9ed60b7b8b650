/*
 * accounts.h - the routes under /auth and /user.
 */
#ifndef API_ACCOUNTS_H
#define API_ACCOUNTS_H

#include "http/request.h"

enum handled accounts_register(struct http_request *req);
enum handled accounts_login(struct http_request *req);
enum handled accounts_refresh(struct http_request *req);
enum handled accounts_logout(struct http_request *req);
enum handled accounts_password(struct http_request *req);
enum handled accounts_profile(struct http_request *req);
enum handled accounts_user_get(struct http_request *req);
enum handled accounts_user_patch(struct http_request *req);

#endif /* API_ACCOUNTS_H */
