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
#include "api/chat_accounts.h"
#include "api/chat_completions.h"
#include "api/chats.h"
#include "api/docs.h"
#include "api/gateway.h"
#include "api/ingest.h"
#include "api/logger_accounts.h"
#include "api/logs.h"
#include "api/messages.h"
#include "api/minichat.h"
#include "api/playground.h"
#include "api/promptlog.h"
#include "api/service.h"
#include "api/sessions.h"
#include "api/stats.h"

#define SMALL    (16 * KIB)   /* forms and settings */
#define LARGE    (256 * KIB)  /* with metadata */
#define QUESTION (1280 * KIB) /* 100,000 characters, all escaped */

/* Two rows: the family of chats answers under both prefixes. */
#define CHATS(method, path, handler, body_max, limit, flags)               \
	{ method, "/api" path, handler, ROLE_USER, body_max, limit, flags, \
		FAMILY_CHATS },                                            \
	    { method, "/api/v1" path, handler, ROLE_USER, body_max, limit, \
		    flags, FAMILY_CHATS },

/* clang-format off */
const struct route routes[] = {
	/* method      path                         handler                   role         body_max     limit           flags                              family */
	{ HTTP_GET,    "/",                         service_root,             ROLE_PUBLIC, 0,           LIMIT_NONE,     0,                                 FAMILY_SERVICE },
	{ HTTP_GET,    "/health",                   service_health,           ROLE_PUBLIC, 0,           LIMIT_NONE,     0,                                 FAMILY_SERVICE },
	{ HTTP_GET,    "/metrics",                  service_metrics,          ROLE_PUBLIC, 0,           LIMIT_NONE,     0,                                 FAMILY_SERVICE },
	{ HTTP_GET,    "/openapi.json",             docs_openapi,             ROLE_PUBLIC, 0,           LIMIT_NONE,     0,                                 FAMILY_SERVICE },
	{ HTTP_GET,    "/api-docs",                 docs_page,                ROLE_PUBLIC, 0,           LIMIT_NONE,     0,                                 FAMILY_SERVICE },
	{ HTTP_GET,    "/api",                      docs_page,                ROLE_PUBLIC, 0,           LIMIT_NONE,     0,                                 FAMILY_SERVICE },
	{ HTTP_GET,    "/api/docs",                 docs_page,                ROLE_PUBLIC, 0,           LIMIT_NONE,     0,                                 FAMILY_SERVICE },

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

	{ HTTP_GET,    "/playground/stream",        playground_stream,        ROLE_USER,   0,           LIMIT_PLAYGROUND, ROUTE_QUERY_TOKEN | ROUTE_STREAMS, FAMILY_PLAYGROUND },
	{ HTTP_GET,    "/playground/sessions",      sessions_list,            ROLE_USER,   0,           LIMIT_NONE,     0,                                 FAMILY_PLAYGROUND },
	{ HTTP_GET,    "/playground/sessions/:id",  sessions_get,             ROLE_USER,   0,           LIMIT_NONE,     0,                                 FAMILY_PLAYGROUND },
	{ HTTP_DELETE, "/playground/sessions/:id",  sessions_delete,          ROLE_USER,   0,           LIMIT_NONE,     0,                                 FAMILY_PLAYGROUND },

	{ HTTP_POST,   "/openai/question",          minichat_question,        ROLE_USER,   QUESTION,    LIMIT_CALL,     ROUTE_STREAMS,                     FAMILY_MINI_CHAT },
	{ HTTP_GET,    "/openai/stream",            minichat_stream,          ROLE_USER,   0,           LIMIT_CALL,     ROUTE_QUERY_TOKEN | ROUTE_STREAMS, FAMILY_MINI_CHAT },

	{ HTTP_POST,   "/api/auth/register",        logger_register,          ROLE_PUBLIC, SMALL,       LIMIT_LOGIN,    ROUTE_HASHES,                      FAMILY_LOGGER },
	{ HTTP_POST,   "/api/register",             logger_register,          ROLE_PUBLIC, SMALL,       LIMIT_LOGIN,    ROUTE_HASHES,                      FAMILY_LOGGER },
	{ HTTP_POST,   "/api/auth/login",           logger_login,             ROLE_PUBLIC, SMALL,       LIMIT_LOGIN,    ROUTE_HASHES | ROUTE_NO_STORE,     FAMILY_LOGGER },
	{ HTTP_POST,   "/api/token",                logger_login,             ROLE_PUBLIC, SMALL,       LIMIT_LOGIN,    ROUTE_HASHES | ROUTE_NO_STORE,     FAMILY_LOGGER },
	{ HTTP_POST,   "/api/auth/token",           logger_login,             ROLE_PUBLIC, SMALL,       LIMIT_LOGIN,    ROUTE_HASHES | ROUTE_NO_STORE,     FAMILY_LOGGER },
	{ HTTP_POST,   "/api/auth/refresh",         logger_refresh,           ROLE_PUBLIC, SMALL,       LIMIT_NONE,     ROUTE_NO_STORE,                    FAMILY_LOGGER },
	{ HTTP_POST,   "/api/token/refresh",        logger_refresh,           ROLE_PUBLIC, SMALL,       LIMIT_NONE,     ROUTE_NO_STORE,                    FAMILY_LOGGER },
	{ HTTP_POST,   "/api/auth/token/refresh",   logger_refresh,           ROLE_PUBLIC, SMALL,       LIMIT_NONE,     ROUTE_NO_STORE,                    FAMILY_LOGGER },
	{ HTTP_GET,    "/api/user/profile",         logger_profile_get,       ROLE_LOGIN,  0,           LIMIT_NONE,     0,                                 FAMILY_LOGGER },
	{ HTTP_PUT,    "/api/user/profile",         logger_profile_put,       ROLE_LOGIN,  SMALL,       LIMIT_LOGIN,    ROUTE_HASHES,                      FAMILY_LOGGER },
	{ HTTP_PATCH,  "/api/user/profile",         logger_profile_put,       ROLE_LOGIN,  SMALL,       LIMIT_LOGIN,    ROUTE_HASHES,                      FAMILY_LOGGER },
	{ HTTP_GET,    "/api/auth/user/profile",    logger_profile_get,       ROLE_LOGIN,  0,           LIMIT_NONE,     0,                                 FAMILY_LOGGER },
	{ HTTP_PUT,    "/api/auth/user/profile",    logger_profile_put,       ROLE_LOGIN,  SMALL,       LIMIT_LOGIN,    ROUTE_HASHES,                      FAMILY_LOGGER },
	{ HTTP_PATCH,  "/api/auth/user/profile",    logger_profile_put,       ROLE_LOGIN,  SMALL,       LIMIT_LOGIN,    ROUTE_HASHES,                      FAMILY_LOGGER },
	{ HTTP_GET,    "/api/user",                 logger_profile_get,       ROLE_LOGIN,  0,           LIMIT_NONE,     0,                                 FAMILY_LOGGER },
	{ HTTP_GET,    "/api/auth/user",            logger_profile_get,       ROLE_LOGIN,  0,           LIMIT_NONE,     0,                                 FAMILY_LOGGER },
	{ HTTP_GET,    "/api/api-keys",             apikeys_list,             ROLE_LOGIN,  0,           LIMIT_NONE,     0,                                 FAMILY_LOGGER },
	{ HTTP_POST,   "/api/api-keys",             apikeys_create,           ROLE_LOGIN,  SMALL,       LIMIT_NONE,     ROUTE_NO_STORE | ROUTE_ATOMIC,     FAMILY_LOGGER },
	{ HTTP_GET,    "/api/api-keys/:id",         apikeys_get,              ROLE_LOGIN,  0,           LIMIT_NONE,     0,                                 FAMILY_LOGGER },
	{ HTTP_PUT,    "/api/api-keys/:id",         apikeys_update,           ROLE_LOGIN,  SMALL,       LIMIT_NONE,     0,                                 FAMILY_LOGGER },
	{ HTTP_PATCH,  "/api/api-keys/:id",         apikeys_update,           ROLE_LOGIN,  SMALL,       LIMIT_NONE,     0,                                 FAMILY_LOGGER },
	{ HTTP_DELETE, "/api/api-keys/:id",         apikeys_delete,           ROLE_LOGIN,  0,           LIMIT_NONE,     0,                                 FAMILY_LOGGER },
	{ HTTP_GET,    "/api/apikeys",              apikeys_list,             ROLE_LOGIN,  0,           LIMIT_NONE,     0,                                 FAMILY_LOGGER },
	{ HTTP_POST,   "/api/apikeys",              apikeys_create,           ROLE_LOGIN,  SMALL,       LIMIT_NONE,     ROUTE_NO_STORE | ROUTE_ATOMIC,     FAMILY_LOGGER },
	{ HTTP_GET,    "/api/apikeys/:id",          apikeys_get,              ROLE_LOGIN,  0,           LIMIT_NONE,     0,                                 FAMILY_LOGGER },
	{ HTTP_PUT,    "/api/apikeys/:id",          apikeys_update,           ROLE_LOGIN,  SMALL,       LIMIT_NONE,     0,                                 FAMILY_LOGGER },
	{ HTTP_PATCH,  "/api/apikeys/:id",          apikeys_update,           ROLE_LOGIN,  SMALL,       LIMIT_NONE,     0,                                 FAMILY_LOGGER },
	{ HTTP_DELETE, "/api/apikeys/:id",          apikeys_delete,           ROLE_LOGIN,  0,           LIMIT_NONE,     0,                                 FAMILY_LOGGER },

	/* each under /api and under /api/v1 */
	CHATS(HTTP_POST,   "/chats",                        chats_create,         LARGE,       LIMIT_NONE, ROUTE_ATOMIC)
	CHATS(HTTP_GET,    "/chats",                        chats_list,           0,           LIMIT_NONE, 0)
	CHATS(HTTP_GET,    "/chats/search",                 chats_search,         0,           LIMIT_NONE, 0)
	CHATS(HTTP_GET,    "/chats/:id",                    chats_get,            0,           LIMIT_NONE, 0)
	CHATS(HTTP_PUT,    "/chats/:id",                    chats_update,         LARGE,       LIMIT_NONE, 0)
	CHATS(HTTP_DELETE, "/chats/:id",                    chats_delete,         0,           LIMIT_NONE, 0)
	CHATS(HTTP_POST,   "/chats/:id/completions",        chat_completions,     BODY_CONFIG, LIMIT_CALL, ROUTE_STREAMS)
	CHATS(HTTP_POST,   "/:chatId/messages",             messages_create,      BODY_CONFIG, LIMIT_NONE, ROUTE_ATOMIC)
	CHATS(HTTP_GET,    "/:chatId/messages",             messages_list,        0,           LIMIT_NONE, 0)
	CHATS(HTTP_POST,   "/:chatId/messages/batch",       messages_create_many, BODY_CONFIG, LIMIT_NONE, ROUTE_ATOMIC)
	CHATS(HTTP_GET,    "/:chatId/messages/:id",         messages_get,         0,           LIMIT_NONE, 0)
	CHATS(HTTP_PUT,    "/:chatId/messages/:id",         messages_update,      BODY_CONFIG, LIMIT_NONE, 0)
	CHATS(HTTP_DELETE, "/:chatId/messages/:id",         messages_delete,      0,           LIMIT_NONE, 0)
	CHATS(HTTP_POST,   "/messages/:chatId",             messages_create,      BODY_CONFIG, LIMIT_NONE, ROUTE_ATOMIC)
	CHATS(HTTP_GET,    "/messages/:chatId",             messages_list,        0,           LIMIT_NONE, 0)
	CHATS(HTTP_POST,   "/messages/:chatId/batch",       messages_create_many, BODY_CONFIG, LIMIT_NONE, ROUTE_ATOMIC)
	CHATS(HTTP_GET,    "/messages/:chatId/:id",         messages_get,         0,           LIMIT_NONE, 0)
	CHATS(HTTP_PUT,    "/messages/:chatId/:id",         messages_update,      BODY_CONFIG, LIMIT_NONE, 0)
	CHATS(HTTP_DELETE, "/messages/:chatId/:id",         messages_delete,      0,           LIMIT_NONE, 0)

	{ HTTP_POST,   "/api/event-log",            ingest_event,             ROLE_KEY,    INGEST_EVENT_BODY, LIMIT_INGEST, 0,                             FAMILY_LOGGER },
	{ HTTP_POST,   "/api/event-log/batch",      ingest_event_batch,       ROLE_KEY,    INGEST_BATCH_BODY, LIMIT_INGEST, ROUTE_NDJSON,                  FAMILY_LOGGER },
	{ HTTP_POST,   "/api/llm-log",              ingest_llm,               ROLE_KEY,    INGEST_LLM_BODY, LIMIT_INGEST, 0,                               FAMILY_LOGGER },
	{ HTTP_POST,   "/api/llm-log/batch",        ingest_llm_batch,         ROLE_KEY,    INGEST_BATCH_BODY, LIMIT_INGEST, ROUTE_NDJSON,                  FAMILY_LOGGER },
	{ HTTP_GET,    "/api/event-logs",           logs_events_list,         ROLE_USER,   0,           LIMIT_NONE,     ROUTE_EXPORTS,                     FAMILY_LOGGER },
	{ HTTP_GET,    "/api/event-logs/:id",       logs_event_get,           ROLE_USER,   0,           LIMIT_NONE,     0,                                 FAMILY_LOGGER },
	{ HTTP_DELETE, "/api/event-logs/:id",       logs_event_delete,        ROLE_USER,   0,           LIMIT_NONE,     0,                                 FAMILY_LOGGER },
	{ HTTP_GET,    "/api/llm-logs",             logs_llm_list,            ROLE_USER,   0,           LIMIT_NONE,     ROUTE_EXPORTS,                     FAMILY_LOGGER },
	{ HTTP_GET,    "/api/llm-logs/:id",         logs_llm_get,             ROLE_USER,   0,           LIMIT_NONE,     0,                                 FAMILY_LOGGER },
	{ HTTP_DELETE, "/api/llm-logs/:id",         logs_llm_delete,          ROLE_USER,   0,           LIMIT_NONE,     0,                                 FAMILY_LOGGER },
	{ HTTP_GET,    "/api/user/stats",           stats_get,                ROLE_USER,   0,           LIMIT_NONE,     0,                                 FAMILY_LOGGER },

	{ HTTP_POST,   "/proxy-api",                promptlog_ask,            ROLE_USER,   PROMPTLOG_BODY, LIMIT_CALL,  0,                                 FAMILY_PROMPT_LOG },
	{ HTTP_GET,    "/proxy-api/dashboard",      promptlog_dashboard,      ROLE_USER,   0,           LIMIT_NONE,     0,                                 FAMILY_PROMPT_LOG },
	{ HTTP_GET,    "/proxy-api/metric",         promptlog_metric,         ROLE_USER,   0,           LIMIT_NONE,     0,                                 FAMILY_PROMPT_LOG },

	{ HTTP_POST,   "/api/users/register",       chats_register,           ROLE_PUBLIC, SMALL,       LIMIT_LOGIN,    ROUTE_HASHES | ROUTE_NO_STORE,     FAMILY_CHATS },
	{ HTTP_POST,   "/api/users/login",          chats_login,              ROLE_PUBLIC, SMALL,       LIMIT_LOGIN,    ROUTE_HASHES | ROUTE_NO_STORE,     FAMILY_CHATS },
	{ HTTP_GET,    "/api/users/profile",        chats_profile,            ROLE_USER,   0,           LIMIT_NONE,     0,                                 FAMILY_CHATS },
	{ HTTP_POST,   "/api/users/generate-api-key", chats_generate_key,     ROLE_LOGIN,  SMALL,       LIMIT_NONE,     ROUTE_NO_STORE | ROUTE_ATOMIC,     FAMILY_CHATS },
	{ HTTP_POST,   "/api/v1/users/register",    chats_register,           ROLE_PUBLIC, SMALL,       LIMIT_LOGIN,    ROUTE_HASHES | ROUTE_NO_STORE,     FAMILY_CHATS },
	{ HTTP_POST,   "/api/v1/users/login",       chats_login,              ROLE_PUBLIC, SMALL,       LIMIT_LOGIN,    ROUTE_HASHES | ROUTE_NO_STORE,     FAMILY_CHATS },
	{ HTTP_GET,    "/api/v1/users/profile",     chats_profile,            ROLE_USER,   0,           LIMIT_NONE,     0,                                 FAMILY_CHATS },
	{ HTTP_POST,   "/api/v1/users/generate-api-key", chats_generate_key,  ROLE_LOGIN,  SMALL,       LIMIT_NONE,     ROUTE_NO_STORE | ROUTE_ATOMIC,     FAMILY_CHATS },

	{ HTTP_POST,   "/v1/chat/completions",      gateway_chat_completions, ROLE_USER,   BODY_CONFIG, LIMIT_CALL,     ROUTE_STREAMS,                     FAMILY_GATEWAY },
	{ HTTP_GET,    "/v1/models",                gateway_models_list,      ROLE_USER,   0,           LIMIT_NONE,     0,                                 FAMILY_GATEWAY },
	{ HTTP_GET,    "/v1/models/:id",            gateway_model_get,        ROLE_USER,   0,           LIMIT_NONE,     0,                                 FAMILY_GATEWAY },
	{ HTTP_GET,    "/v1/calls",                 calls_list,               ROLE_USER,   0,           LIMIT_NONE,     ROUTE_EXPORTS,                     FAMILY_GATEWAY },
	{ HTTP_GET,    "/v1/calls/:id",             calls_get,                ROLE_USER,   0,           LIMIT_NONE,     0,                                 FAMILY_GATEWAY },
};
/* clang-format on */

const size_t routes_len = sizeof(routes) / sizeof(routes[0]);
