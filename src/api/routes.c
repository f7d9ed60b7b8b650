/*
 * routes.c - the whole HTTP surface.
 *
 * One row a method and path.  `minuted routes` prints it, README and the
 * OpenAPI document are checked against it, and the 401 and other-user tests
 * are generated from it.
 */
#include "api/routes.h"

#include "api/accounts.h"
#include "api/apikeys.h"
#include "api/calls.h"
#include "api/gateway.h"
#include "api/service.h"

#define SMALL (16 * KIB) /* forms and settings */

/* clang-format off */
const struct route routes[] = {
	/* method      path                         handler                   role         body_max     limit           flags                              family */
	{ HTTP_GET,    "/",                         service_root,             ROLE_PUBLIC, 0,           LIMIT_NONE,     0,                                 FAMILY_SERVICE },
	{ HTTP_GET,    "/health",                   service_health,           ROLE_PUBLIC, 0,           LIMIT_NONE,     0,                                 FAMILY_SERVICE },
	{ HTTP_GET,    "/metrics",                  service_metrics,          ROLE_PUBLIC, 0,           LIMIT_NONE,     0,                                 FAMILY_SERVICE },

	{ HTTP_POST,   "/auth/register",            accounts_register,        ROLE_PUBLIC, SMALL,       LIMIT_LOGIN,    ROUTE_HASHES | ROUTE_NO_STORE,     FAMILY_ACCOUNTS },
	{ HTTP_POST,   "/auth/login",               accounts_login,           ROLE_PUBLIC, SMALL,       LIMIT_LOGIN,    ROUTE_HASHES | ROUTE_NO_STORE,     FAMILY_ACCOUNTS },
	{ HTTP_POST,   "/auth/refresh",             accounts_refresh,         ROLE_PUBLIC, SMALL,       LIMIT_NONE,     ROUTE_NO_STORE,                    FAMILY_ACCOUNTS },
	{ HTTP_POST,   "/auth/token/refresh",       accounts_refresh,         ROLE_PUBLIC, SMALL,       LIMIT_NONE,     ROUTE_NO_STORE,                    FAMILY_ACCOUNTS },
	{ HTTP_POST,   "/auth/logout",              accounts_logout,          ROLE_PUBLIC, SMALL,       LIMIT_NONE,     0,                                 FAMILY_ACCOUNTS },
	{ HTTP_POST,   "/auth/password",            accounts_password,        ROLE_LOGIN,  SMALL,       LIMIT_LOGIN,    ROUTE_HASHES,                      FAMILY_ACCOUNTS },
	{ HTTP_GET,    "/auth/profile",             accounts_profile,         ROLE_USER,   0,           LIMIT_NONE,     0,                                 FAMILY_ACCOUNTS },
	{ HTTP_GET,    "/user",                     accounts_user_get,        ROLE_USER,   0,           LIMIT_NONE,     0,                                 FAMILY_ACCOUNTS },
	{ HTTP_PATCH,  "/user",                     accounts_user_patch,      ROLE_LOGIN,  SMALL,       LIMIT_NONE,     0,                                 FAMILY_ACCOUNTS },
	{ HTTP_GET,    "/user/me",                  accounts_profile,         ROLE_USER,   0,           LIMIT_NONE,     0,                                 FAMILY_ACCOUNTS },

	{ HTTP_GET,    "/api/apikeys",              apikeys_list,             ROLE_LOGIN,  0,           LIMIT_NONE,     0,                                 FAMILY_LOGGER },
	{ HTTP_POST,   "/api/apikeys",              apikeys_create,           ROLE_LOGIN,  SMALL,       LIMIT_NONE,     ROUTE_NO_STORE,                    FAMILY_LOGGER },
	{ HTTP_GET,    "/api/apikeys/:id",          apikeys_get,              ROLE_LOGIN,  0,           LIMIT_NONE,     0,                                 FAMILY_LOGGER },
	{ HTTP_PUT,    "/api/apikeys/:id",          apikeys_update,           ROLE_LOGIN,  SMALL,       LIMIT_NONE,     0,                                 FAMILY_LOGGER },
	{ HTTP_PATCH,  "/api/apikeys/:id",          apikeys_update,           ROLE_LOGIN,  SMALL,       LIMIT_NONE,     0,                                 FAMILY_LOGGER },
	{ HTTP_DELETE, "/api/apikeys/:id",          apikeys_delete,           ROLE_LOGIN,  0,           LIMIT_NONE,     0,                                 FAMILY_LOGGER },

	{ HTTP_POST,   "/v1/chat/completions",      gateway_chat_completions, ROLE_USER,   BODY_CONFIG, LIMIT_CALL,     ROUTE_STREAMS,                     FAMILY_GATEWAY },
	{ HTTP_GET,    "/v1/models",                gateway_models_list,      ROLE_USER,   0,           LIMIT_NONE,     0,                                 FAMILY_GATEWAY },
	{ HTTP_GET,    "/v1/models/:id",            gateway_model_get,        ROLE_USER,   0,           LIMIT_NONE,     0,                                 FAMILY_GATEWAY },
	{ HTTP_GET,    "/v1/calls",                 calls_list,               ROLE_USER,   0,           LIMIT_NONE,     ROUTE_EXPORTS,                     FAMILY_GATEWAY },
	{ HTTP_GET,    "/v1/calls/:id",             calls_get,                ROLE_USER,   0,           LIMIT_NONE,     0,                                 FAMILY_GATEWAY },
};
/* clang-format on */

const size_t routes_len = sizeof(routes) / sizeof(routes[0]);
