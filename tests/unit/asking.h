/*
 * asking.h - a user in a scratch database who asks, for tests of what a request
 * passes: requests in memory, with an app of as much as that needs.
 */
#ifndef ASKING_H
#define ASKING_H

#include <criterion/criterion.h>
#include <string.h>

#include "api/app.h"
#include "api/routes.h"
#include "api/rules.h"
#include "base/log.h"
#include "http/memory.h"
#include "scratch_db.h"

#define ASKING_USER "01900000-0000-7000-8000-000000000001"
#define ASKING_KEY  "01900000-0000-7000-8000-000000000002"

static struct config asking_config = { .statement_ms = 5000,
	.lock_ms = 2000,
	.connections_max = 100,
	.total_ms = 1000 };
static struct app asking_app = { .config = &asking_config };
static struct db *asking_db;

static inline void
asking_setup(void)
{
	log_setup(LOG_ERROR, "test");
	scratch_start();
	asking_db = scratch_connect(scratch_url, 5000);
	cr_assert_eq(migrate_run(asking_db), OK);
	scratch_do(asking_db,
	    "insert into minuted.users (id, username, password_hash)"
	    " values ('" ASKING_USER "', 'ada', '$argon2id$none')");
	asking_config.database_url = scratch_url;
	asking_app.limits = limits_map(1000);
	asking_app.rules = rules_new();
	cr_assert_not_null(asking_app.limits);
	cr_assert_not_null(asking_app.rules);
}

static inline void
asking_teardown(void)
{
	if (asking_db == NULL)
		return;
	rules_free(asking_app.rules);
	limits_unmap(asking_app.limits);
	db_free(asking_db);
	scratch_stop();
}

/* A request of the user, or of its key. */
static inline struct http_request *
asking_request(const char *const *envp, const char *body,
    struct memory_answer *answer)
{
	struct http_request *req = NULL;
	const char *allow = NULL;

	cr_assert_eq(memory_request(envp, body, body == NULL ? 0 : strlen(body),
			 answer, &req),
	    OK);
	cr_assert_eq(routes_match(req, &req->route, &allow), OK);
	req->app = &asking_app;
	req->db = asking_db;
	req->who.credential = CREDENTIAL_TOKEN;
	cr_assert_eq(uuid_parse(ASKING_USER, &req->who.user_id), OK);
	memcpy(req->who.user_text, ASKING_USER, sizeof(ASKING_USER));
	return req;
}

#endif /* ASKING_H */
