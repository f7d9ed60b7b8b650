/*
 * account_store.h - accounts, shared by the families that have them.
 *
 * A password change raises users.token_version, which voids every access token
 * at once, and revokes every family of refresh tokens but the caller's: the
 * caller's own refresh token gives it a new access token.
 *
 * Functions named _or_reply have answered the request when they are not OK.
 * Text in the structs is in the request's arena.
 */
#ifndef API_ACCOUNT_STORE_H
#define API_ACCOUNT_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "api/account_form.h"
#include "base/err.h"
#include "base/uuid.h"
#include "db/db.h"
#include "http/request.h"
#include "json/write.h"

struct account_tokens; /* account_login.h */

struct account {
	struct uuid id;
	int64_t version;
	const char *id_text;
	const char *email; /* NULL: none */
	const char *username, *first_name, *last_name, *name, *role;
	const char *created_at, *updated_at;
};

/*
 * Makes the user.  tokens NULL: does not log in.  Only in a thread that may
 * hash (ROUTE_HASHES).
 */
enum err account_register_or_reply(struct http_request *req,
    const struct account_new *from, struct account *out,
    struct account_tokens *tokens) MUST_CHECK;

/* The account of user_id; ERR_MISSING when there is none, or it is disabled. */
enum err account_load(struct http_request *req, const char *user_id,
    struct account *out) MUST_CHECK;

/* The account of who asks. */
enum err account_load_or_reply(struct http_request *req,
    struct account *out) MUST_CHECK;

/*
 * What who asks wants changed, all or nothing.  Only in a thread that may hash
 * when there is a password.  A wrong current password is ERR_INPUT and a 400
 * that names field (not a 401: the client would only refresh its token); a name
 * that is taken is a 409.
 */
struct account_change {
	struct account_secret current, password; /* without text: stays */
	const char *field; /* of the current password, for the fault */
	const char *email, *username; /* both as they shall be; username NULL:
	                                 both stay */
};
enum err account_change_or_reply(struct http_request *req,
    const struct account_change *change) MUST_CHECK;

/* {id,email,username,firstName,lastName,name,role,createdAt,updatedAt} */
void account_json(struct jsonw *w, const struct account *account);

/* err of a statement on req->db: recorded for the log, and answered. */
enum err account_db_reply(struct http_request *req, enum err err);

/*
 * Without a request, for commands: inserts the user with an id made here.
 * ERR_CONFLICT when e-mail or username is taken.
 */
enum err account_insert(struct db *db, const struct account_new *from,
    const char *password_hash, const char *role, struct uuid *id) MUST_CHECK;

#endif /* API_ACCOUNT_STORE_H */
