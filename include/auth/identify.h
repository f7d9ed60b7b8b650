/*
 * identify.h - who is asking: Authorization: Bearer <token or key>, X-Api-Key,
 * and where the route allows it ?token= or api_key in the body.
 */
#ifndef AUTH_IDENTIFY_H
#define AUTH_IDENTIFY_H

#include "auth/cache.h"
#include "auth/token.h"
#include "http/request.h"

struct auth {
	const struct config *config;
	struct token_keys keys;
	struct auth_cache *cache;
};

/*
 * Fills req->who from the headers; query_token also takes an access token from
 * ?token=.  OK, ERR_AUTH (none or not valid; two different credentials are not
 * valid either), ERR_BUSY when it cannot be known.
 */
enum err identify(const struct auth *auth, struct http_request *req,
    bool query_token) MUST_CHECK;

/* The same for one key given as text (api_key in a body). */
enum err identify_key(const struct auth *auth, struct http_request *req,
    const char *key) MUST_CHECK;

#endif /* AUTH_IDENTIFY_H */
