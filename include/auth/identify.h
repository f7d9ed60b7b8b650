/*
 * identify.h - who is asking: Authorization: Bearer <token or key>, X-Api-Key,
 * and where the route allows it ?token= or api_key in the body.
 *
 * A key with scopes is good only for paths of those scopes (cache.h has the
 * words): a path of none is "data", so a new route is closed to narrow keys.
 */
#ifndef AUTH_IDENTIFY_H
#define AUTH_IDENTIFY_H

#include "auth/cache.h"
#include "auth/token.h"
#include "auth/verified.h"
#include "http/request.h"

struct auth {
	const struct config *config;
	struct token_keys keys;
	struct verified *verified;
	struct auth_cache *cache;
};

/*
 * Fills req->who from the headers; query_token also takes an access token from
 * ?token=.  OK, ERR_AUTH (none or not valid; two different credentials are not
 * valid either), ERR_FORBIDDEN (a key outside of its scopes), ERR_BUSY when it
 * cannot be known.
 */
enum err identify(const struct auth *auth, struct http_request *req,
    bool query_token) MUST_CHECK;

/* The same for one key given as text (api_key in a body). */
enum err identify_key(const struct auth *auth, struct http_request *req,
    const char *key) MUST_CHECK;

/* What the access token of an identified request says; ERR_AUTH when it came
 * with none. */
enum err identify_claims(const struct auth *auth,
    const struct http_request *req, struct token_claims *out) MUST_CHECK;

/* The scope that a key needs for path. */
enum scope identify_scope(const char *path);

/* Whether a key with these scopes may be used for path. */
bool identify_has_scope(unsigned scopes, const char *path);

#endif /* AUTH_IDENTIFY_H */
