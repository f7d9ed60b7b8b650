/*
 * logger_accounts.h - the logger family's registration, login and profile.
 * logger_register, logger_login and logger_profile_put hash.
 */
#ifndef API_LOGGER_ACCOUNTS_H
#define API_LOGGER_ACCOUNTS_H

#include "http/request.h"

enum handled logger_register(struct http_request *req);
enum handled logger_login(struct http_request *req);
enum handled logger_refresh(struct http_request *req);
enum handled logger_profile_get(struct http_request *req);
enum handled logger_profile_put(struct http_request *req); /* and PATCH */

#endif /* API_LOGGER_ACCOUNTS_H */
