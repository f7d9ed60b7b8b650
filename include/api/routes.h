/*
 * routes.h - the whole HTTP surface as one table.
 */
#ifndef API_ROUTES_H
#define API_ROUTES_H

#include <stddef.h>

#include "http/request.h"

/* Zero is not a role: a forgotten column fails closed. */
enum role {
	ROLE_UNSET = 0,
	ROLE_PUBLIC, /* anybody */
	ROLE_USER,   /* any valid credential */
	ROLE_LOGIN,  /* an access token; an API key is 403 */
	ROLE_KEY,    /* any credential, or api_key in the body */
	ROLE_ADMIN,  /* an administrator's access token */
	ROLE_COUNT
};

enum route_limit { /* which counter a request takes from */
	LIMIT_NONE = 0,
	LIMIT_LOGIN,      /* failures by account and address */
	LIMIT_PLAYGROUND, /* RATE_LIMIT_MAX_REQUESTS model calls a user */
	LIMIT_CALL,       /* calls, tokens and budget */
	LIMIT_INGEST
};

enum route_flags {
	ROUTE_HASHES = 1 << 0,  /* runs in the password pool */
	ROUTE_EXPORTS = 1 << 1, /* with ?format= it runs in the export pool */
	ROUTE_QUERY_TOKEN = 1 << 2, /* ?token= is taken (EventSource) */
	ROUTE_STREAMS = 1 << 3,     /* answers with SSE */
	ROUTE_NDJSON = 1 << 4,      /* application/x-ndjson is taken */
	ROUTE_NO_STORE = 1 << 5,    /* the answer holds a secret */
	ROUTE_ATOMIC = 1 << 6 /* answers at once; all that it does it does with
	                         req->db, and not unless it answers 2xx */
};

enum family { /* the tag in the OpenAPI document; the shape of errors */
	FAMILY_SERVICE = 1,
	FAMILY_ACCOUNTS,
	FAMILY_PLAYGROUND,
	FAMILY_MINI_CHAT,
	FAMILY_LOGGER,
	FAMILY_CHATS,
	FAMILY_PROMPT_LOG,
	FAMILY_GATEWAY
};

typedef enum handled (*route_fn)(struct http_request *req);

struct route {
	enum http_method method;
	const char *path; /* "/api/chats/:id"; no trailing slash */
	route_fn handler;
	enum role role;
	size_t body_max; /* bytes; 0: no body is read, BODY_CONFIG: BODY_MAX */
	enum route_limit limit;
	unsigned flags;
	enum family family;
};

#define BODY_CONFIG ((size_t)-1)
#define KIB         ((size_t)1024)

extern const struct route routes[];
extern const size_t routes_len;

/*
 * The route of method and path, its parameters in req->params.  Literal
 * segments win over parameters.  ERR_MISSING: no such path; ERR_METHOD: known
 * path, *allow is then "GET, HEAD, ..." in the arena (also set on OK).
 */
enum err routes_match(struct http_request *req, const struct route **out,
    const char **allow) MUST_CHECK;

/* The table as text or JSON, for `minuted routes`. */
void routes_print(struct buf *out, bool json);

const char *role_name(enum role role);
const char *family_name(enum family family);

#endif /* API_ROUTES_H */
