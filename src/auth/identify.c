/*
 * identify.c - who is asking.
 *
 * Nothing is written to req->who before everything was checked, and every
 * failure to find out is a refusal.
 */
#include "auth/identify.h"

#include <string.h>
#include <strings.h>

#include "auth/secret.h"
#include "base/clock.h"

/* Routes where a key needs another scope than "data".  A star stands for one
 * segment, two for whatever follows. */
static const struct {
	const char *pattern;
	enum scope scope;
} scoped[] = {
	{ "/api/event-log", SCOPE_INGEST },
	{ "/api/event-log/batch", SCOPE_INGEST },
	{ "/api/llm-log", SCOPE_INGEST },
	{ "/api/llm-log/batch", SCOPE_INGEST },
	{ "/v1/**", SCOPE_CALLS },
	{ "/openai/**", SCOPE_CALLS },
	{ "/playground/stream", SCOPE_CALLS },
	{ "/proxy-api", SCOPE_CALLS },
	{ "/api/chats/*/completions", SCOPE_CALLS },
	{ "/api/v1/chats/*/completions", SCOPE_CALLS },
};

static bool
path_is(const char *path, const char *pattern)
{
	while (*pattern != '\0') {
		if (strcmp(pattern, "**") == 0)
			return true;
		if (*pattern == '*') {
			path += strcspn(path, "/");
			pattern++;
		} else if (*path++ != *pattern++) {
			return false;
		}
	}
	return *path == '\0';
}

enum scope
identify_scope(const char *path)
{
	for (size_t i = 0; i < sizeof(scoped) / sizeof(scoped[0]); i++) {
		if (path_is(path, scoped[i].pattern))
			return scoped[i].scope;
	}
	return SCOPE_DATA;
}

bool
identify_has_scope(unsigned scopes, const char *path)
{
	return scopes == 0 || (scopes & (unsigned)identify_scope(path)) != 0;
}

/* ERR_MISSING is no answer for who asks: not there is not valid. */
static enum err
refusal(enum err err)
{
	if (err == OK || err == ERR_AUTH || err == ERR_FORBIDDEN)
		return err;
	return err == ERR_MISSING ? ERR_AUTH : ERR_BUSY;
}

static enum err
find_user(const struct auth *auth, struct http_request *req,
    const struct uuid *id, struct auth_user *out)
{
	enum err err = auth_cache_user(auth->cache, req->db, id, out);

	if (err == OK && out->disabled)
		return ERR_AUTH;
	return err;
}

static void
fill(struct identity *who, enum credential credential,
    const struct auth_user *user)
{
	memset(who, 0, sizeof(*who));
	who->credential = credential;
	who->user_id = user->id;
	who->admin = user->admin;
	uuid_text(&user->id, who->user_text);
}

static enum err
accept_token(const struct auth *auth, struct http_request *req,
    const char *token)
{
	struct token_claims claims;
	struct auth_user user;
	enum err err;

	err = verified_token(auth->verified, token, &claims);
	if (err != OK)
		return err;
	err = find_user(auth, req, &claims.user_id, &user);
	if (err != OK)
		return err;
	if (claims.version != user.token_version)
		return ERR_AUTH;
	fill(&req->who, CREDENTIAL_TOKEN, &user);
	req->who.token_iat = claims.issued_s;
	return OK;
}

static enum err
accept_key(const struct auth *auth, struct http_request *req, const char *key)
{
	char hash[SECRET_HASH_SIZE];
	struct auth_key found;
	struct auth_user user;
	enum err err;

	if (!secret_key_plausible(key))
		return ERR_AUTH;
	secret_hash(key, hash);
	err = auth_cache_key(auth->cache, req->db, hash, &found);
	if (err != OK)
		return err;
	if (!found.active ||
	    (found.expires_us != 0 && found.expires_us <= clock_wall_us()))
		return ERR_AUTH;
	err = find_user(auth, req, &found.user_id, &user);
	if (err != OK)
		return err;
	if (!identify_has_scope(found.scopes, req->path))
		return ERR_FORBIDDEN;
	fill(&req->who, CREDENTIAL_KEY, &user);
	req->who.key_id = found.id;
	uuid_text(&found.id, req->who.key_text);
	return OK;
}

enum err
identify_key(const struct auth *auth, struct http_request *req, const char *key)
{
	return refusal(accept_key(auth, req, key));
}

/* The credential after "Bearer "; "" when the header is of another kind. */
static const char *
bearer(const char *header)
{
	if (strncasecmp(header, "Bearer", 6) != 0 ||
	    (header[6] != ' ' && header[6] != '\t'))
		return "";
	header += 6;
	return header + strspn(header, " \t");
}

/* Another way of saying the same is no contradiction. */
static bool
contradicts(const char *a, const char *b)
{
	return a != NULL && b != NULL && !secret_equal(a, b);
}

enum err
identify(const struct auth *auth, struct http_request *req, bool query_token)
{
	const char *header = request_header(req, "authorization");
	const char *key = request_header(req, "x-api-key");
	const char *token = query_token ? request_query(req, "token") : NULL;
	const char *given = header == NULL ? NULL : bearer(header);

	if (contradicts(given, key) || contradicts(given, token) ||
	    contradicts(key, token))
		return ERR_AUTH;
	if (key != NULL)
		return refusal(accept_key(auth, req, key));
	if (given != NULL && secret_key_marked(given))
		return refusal(accept_key(auth, req, given));
	if (given == NULL)
		given = token;
	if (given == NULL)
		return ERR_AUTH;
	return refusal(accept_token(auth, req, given));
}

enum err
identify_claims(const struct auth *auth, const struct http_request *req,
    struct token_claims *out)
{
	const char *header = request_header(req, "authorization");

	if (req->who.credential != CREDENTIAL_TOKEN || header == NULL)
		return ERR_AUTH;
	return token_verify(&auth->keys, bearer(header), out);
}
