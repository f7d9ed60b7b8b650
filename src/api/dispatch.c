/*
 * dispatch.c - what every request passes before its handler, in this order.
 */
#include "api/dispatch.h"

#include <string.h>

#include "api/admit.h"
#include "api/app.h"
#include "api/idempotency.h"
#include "api/pool.h"
#include "api/routes.h"
#include "http/problem.h"
#include "http/response.h"

#define CORS_HEADERS                                              \
	"Authorization, Content-Type, X-Api-Key, Cache-Control, " \
	"X-Request-Id, Idempotency-Key"
#define CORS_EXPOSED                                              \
	"X-Request-Id, X-Call-Id, X-Durable, Link, Retry-After, " \
	"Idempotency-Replayed, "                                  \
	"RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset"
#define PREFLIGHT_AGE_S "600"
/* Some clients send "{}" with a DELETE: routes without a body ignore it. */
#define IGNORED_BODY_MAX (16 * KIB)

/* Is origin, exactly, in the comma-separated list? */
static bool
origin_listed(const char *list, const char *origin)
{
	size_t len = strlen(origin);

	while (list != NULL && *list != '\0') {
		size_t item;

		list += strspn(list, ", ");
		item = strcspn(list, ", ");
		if (item == len && len > 0 && memcmp(list, origin, len) == 0)
			return true;
		list += item;
	}
	return false;
}

/* True when the answer may be read by the page that asks. */
static bool
cors(struct http_request *req)
{
	const char *origin = request_header(req, "origin");

	if (req->app->config->cors_origin[0] == '\0')
		return false;
	response_header(req, "Vary", "Origin");
	if (origin == NULL ||
	    !origin_listed(req->app->config->cors_origin, origin))
		return false;
	response_header(req, "Access-Control-Allow-Origin", origin);
	response_header(req, "Access-Control-Expose-Headers", CORS_EXPOSED);
	return true;
}

static enum handled
preflight(struct http_request *req, const char *allow, bool allowed)
{
	response_header(req, "Allow", allow);
	if (allowed) {
		response_header(req, "Access-Control-Allow-Methods", allow);
		response_header(req, "Access-Control-Allow-Headers",
		    CORS_HEADERS);
		response_header(req, "Access-Control-Max-Age", PREFLIGHT_AGE_S);
	}
	return response_empty(req, 204);
}

static size_t
body_ceiling(const struct config *config, const struct route *route)
{
	return route->body_max == BODY_CONFIG ? (size_t)config->body_max
					      : route->body_max;
}

size_t
dispatch_body_max(const struct config *config)
{
	size_t most = 0;

	for (size_t i = 0; i < routes_len; i++) {
		size_t ceiling = body_ceiling(config, &routes[i]);

		if (ceiling > most)
			most = ceiling;
	}
	return most;
}

/* Size and shape of what came, against what the route takes. */
static enum err
check_body_or_reply(struct http_request *req)
{
	size_t ceiling = body_ceiling(req->app->config, req->route);

	if (ceiling == 0)
		ceiling = IGNORED_BODY_MAX;
	if (req->fail.err == ERR_TOO_LARGE || req->body_len > ceiling) {
		(void)problem_reply(req, ERR_TOO_LARGE,
		    "the body is larger than %zu bytes", ceiling);
		return ERR_TOO_LARGE;
	}
	if (req->fail.err != OK) {
		(void)problem_reply(req, ERR_INPUT,
		    "the body is not as long as announced");
		return ERR_INPUT;
	}
	return OK;
}

static bool
role_fits(const struct http_request *req)
{
	const struct identity *who = &req->who;

	switch (req->route->role) {
	case ROLE_PUBLIC:
	case ROLE_KEY:
	case ROLE_USER:
		return true;
	case ROLE_LOGIN:
		return who->credential == CREDENTIAL_TOKEN;
	case ROLE_ADMIN:
		return who->credential == CREDENTIAL_TOKEN && who->admin;
	case ROLE_UNSET:
	case ROLE_COUNT:
		break;
	}
	return false; /* a forgotten column fails closed */
}

/* Routes of ROLE_KEY may carry their key in the body: their handlers ask
 * identify_key() when nobody is known yet. */
static enum err
check_who_or_reply(struct http_request *req)
{
	enum role role = req->route->role;
	bool token_in_query = (req->route->flags & ROUTE_QUERY_TOKEN) != 0;
	enum err err;

	if (role == ROLE_PUBLIC)
		return OK;
	err = identify(&req->app->auth, req, token_in_query);
	if (err == ERR_AUTH && role == ROLE_KEY &&
	    request_header(req, "authorization") == NULL &&
	    request_header(req, "x-api-key") == NULL)
		return OK;
	if (err == ERR_AUTH) {
		(void)problem_reply(req, err,
		    "a valid access token or API key is needed");
		return err;
	}
	if (err != OK) {
		(void)problem_of(req, err);
		return err;
	}
	if (role_fits(req))
		return OK;
	(void)problem_reply(req, ERR_FORBIDDEN,
	    role == ROLE_ADMIN ? "only for administrators"
			       : "this needs an access token, not an API key");
	return ERR_FORBIDDEN;
}

enum handled
dispatch_handler(struct http_request *req)
{
	enum handled handled = req->route->handler(req);

	if (handled == ANSWERED)
		idempotency_settle(req);
	return handled;
}

/* A page of a list does not wait behind clients that fetch files. */
static bool
is_export(const struct http_request *req)
{
	return (req->route->flags & ROUTE_EXPORTS) != 0 &&
	       request_query(req, "format") != NULL;
}

static enum handled
run(struct http_request *req)
{
	struct pool *pool = NULL;

	if ((req->route->flags & ROUTE_HASHES) != 0)
		pool = req->app->hash_pool;
	else if (is_export(req))
		pool = req->app->export_pool;
	if (pool == NULL)
		return dispatch_handler(req);
	if (pool_submit(pool, req) == OK)
		return PARKED;
	return problem_reply(req, ERR_BUSY,
	    "too many requests of this kind are waiting");
}

bool
dispatch_known_or_reply(struct http_request *req)
{
	return admit_request_or_reply(req) == OK &&
	       idempotency_passes_or_reply(req);
}

enum handled
dispatch(struct http_request *req)
{
	const char *allow = NULL;
	bool cors_allowed = cors(req);
	enum err err;

	if (req->fail.err == ERR_INPUT && req->path == NULL)
		return problem_reply(req, ERR_INPUT,
		    "the path or the query is not well-formed");
	err = routes_match(req, &req->route, &allow);
	if (err == ERR_MISSING)
		return problem_reply(req, err, "there is no such path");
	if (req->method == HTTP_OPTIONS)
		return preflight(req, allow, cors_allowed);
	if (err == ERR_METHOD) {
		response_header(req, "Allow", allow);
		return problem_reply(req, err, "this path takes %s", allow);
	}
	if (err != OK)
		return problem_of(req, err);
	req->route_pattern = req->route->path;
	if ((req->route->flags & ROUTE_NO_STORE) != 0)
		response_header(req, "Cache-Control", "no-store");
	if (check_body_or_reply(req) != OK || check_who_or_reply(req) != OK)
		return ANSWERED;
	if (req->who.credential != CREDENTIAL_NONE &&
	    !dispatch_known_or_reply(req))
		return ANSWERED;
	return run(req);
}
