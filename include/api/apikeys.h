/*
 * apikeys.h - the routes /api/apikeys, and making a key.
 */
#ifndef API_APIKEYS_H
#define API_APIKEYS_H

#include <stdbool.h>

#include "auth/secret.h"
#include "base/err.h"
#include "base/uuid.h"
#include "db/db.h"
#include "http/request.h"

enum handled apikeys_list(struct http_request *req);
enum handled apikeys_create(struct http_request *req);
enum handled apikeys_get(struct http_request *req);
enum handled apikeys_update(struct http_request *req);
enum handled apikeys_delete(struct http_request *req);

struct apikey_new {
	const char *user_id;
	const char *name;
	const char *scopes;     /* array literal, "{}": everything */
	const char *expires_at; /* NULL: never */
	bool inactive;
	bool generated; /* by /api/users/generate-api-key */
};

#define APIKEY_TIME_SIZE 40

struct apikey {
	char id[UUID_TEXT_SIZE];
	char key[SECRET_KEY_SIZE]; /* shown once; wipe it */
	char prefix[SECRET_PREFIX_SIZE];
	char created_at[APIKEY_TIME_SIZE];
	char expires_at[APIKEY_TIME_SIZE]; /* "": never */
};

/* Makes and stores a key. */
enum err apikey_insert(struct db *db, const struct apikey_new *from,
    struct apikey *out) MUST_CHECK;

#endif /* API_APIKEYS_H */
