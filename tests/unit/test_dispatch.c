/*
 * test_dispatch.c - what a request passes before its handler, in which order.
 *
 * Who asks and whether they may is this file's; the routes are the real ones.
 */
#include "api/dispatch.h"

#include <criterion/criterion.h>
#include <string.h>

#include "api/admit.h"
#include "api/app.h"
#include "api/idempotency.h"
#include "api/routes.h"
#include "base/log.h"
#include "http/memory.h"
#include "http/problem.h"

#define BODY_MAX (64 * KIB)
#define SMALL    (16 * KIB) /* what most routes take */

static struct config config = { .body_max = BODY_MAX,
	.cors_origin = (char[]){ "https://a.example, https://b.example" } };
static struct app app = { .config = &config };
static struct memory_answer answer;

/* Who asks, and what was asked of whom. */
static struct {
	enum err err;
	struct identity who;
	bool token_in_query;
	int identified, admitted, passed;
	bool refused;
} door;

enum err
identify(const struct auth *auth, struct http_request *req, bool query_token)
{
	(void)auth;
	door.identified++;
	door.token_in_query = query_token;
	req->who = door.who;
	return door.err;
}

enum err
identify_key(const struct auth *auth, struct http_request *req, const char *key)
{
	(void)auth, (void)req, (void)key;
	return ERR_AUTH;
}

enum err
identify_claims(const struct auth *auth, const struct http_request *req,
    struct token_claims *out)
{
	(void)auth, (void)req, (void)out;
	return ERR_AUTH;
}

enum scope
identify_scope(const char *path)
{
	(void)path;
	return (enum scope)0;
}

bool
identify_has_scope(unsigned scopes, const char *path)
{
	(void)scopes, (void)path;
	return true;
}

enum err
admit_request_or_reply(struct http_request *req)
{
	door.admitted++;
	if (!door.refused)
		return OK;
	(void)problem_reply(req, ERR_LIMIT, "slow down");
	return ERR_LIMIT;
}

enum err
admit_calls_or_reply(struct http_request *req, struct call *calls)
{
	(void)req, (void)calls;
	return OK;
}

void
admit_headers(struct http_request *req, const struct limit_state *state)
{
	(void)req, (void)state;
}

void
admit_undo(struct call *calls)
{
	(void)calls;
}

void
idempotency_settle(struct http_request *req)
{
	(void)req;
}

enum err
idempotency_id(struct http_request *req, struct uuid *out)
{
	(void)req;
	return uuid_make(out);
}

enum err
idempotency_mark(const struct http_request *req, struct uuid *out)
{
	(void)req;
	return uuid_make(out);
}

bool
idempotency_marked(const struct http_request *req, struct uuid *out)
{
	(void)req, (void)out;
	return false;
}

/* No handler that needs more than this file has is run. */
bool
idempotency_passes_or_reply(struct http_request *req)
{
	door.passed++;
	(void)problem_reply(req, ERR_CONFLICT, "as far as it goes");
	return false;
}

static void
setup(void)
{
	log_setup(LOG_ERROR, "test");
	memset(&door, 0, sizeof(door));
	door.who.credential = CREDENTIAL_TOKEN;
}

static void
teardown(void)
{
	memory_answer_fini(&answer);
}

TestSuite(dispatch, .init = setup, .fini = teardown);

struct ask {
	const char *method, *uri, *header; /* "HTTP_NAME=value" */
	size_t body;
	enum err broken; /* what the transport found */
};

/* The status of the answer, which is in answer.bytes. */
static int
ask(struct ask what)
{
	static char body[BODY_MAX + 1];
	char method[64] = "REQUEST_METHOD=";
	char uri[256] = "REQUEST_URI=";
	const char *const envp[] = { method, uri,
		"CONTENT_TYPE=application/json",
		what.header != NULL ? what.header : "X=", NULL };
	struct http_request *req = NULL;
	int status;

	memset(body, ' ', sizeof(body));
	memcpy(method + strlen(method), what.method, strlen(what.method) + 1);
	memcpy(uri + strlen(uri), what.uri, strlen(what.uri) + 1);
	cr_assert_eq(memory_request(envp, body, what.body, &answer, &req), OK);
	req->app = &app;
	if (what.broken != OK)
		req->fail.err = what.broken;
	cr_assert_eq(dispatch(req), ANSWERED);
	status = req->status;
	request_finish(req);
	return status;
}

static bool
answered(const char *text)
{
	return strstr(buf_str(&answer.bytes), text) != NULL;
}

Test(dispatch, an_unknown_path_is_404_before_anybody_is_asked)
{
	cr_expect_eq(ask((struct ask){ "GET", "/no/such", NULL, 0, OK }), 404);
	cr_expect_eq(door.identified, 0);
	cr_expect(answered("not_found"));
}

Test(dispatch, a_broken_path_is_400)
{
	cr_expect_eq(ask((struct ask){ "GET", "/%00", NULL, 0, OK }), 400);
}

Test(dispatch, another_method_is_405_and_says_which)
{
	cr_expect_eq(ask((struct ask){ "DELETE", "/auth/login", NULL, 0, OK }),
	    405);
	cr_expect(answered("Allow: POST, OPTIONS\r\n"));
	cr_expect_eq(door.identified, 0);
}

Test(dispatch, a_method_that_nobody_knows_is_405)
{
	cr_expect_eq(ask((struct ask){ "BREW", "/auth/login", NULL, 0, OK }),
	    405);
}

Test(dispatch, head_is_get_without_its_body)
{
	cr_expect_eq(ask((struct ask){ "HEAD", "/", NULL, 0, OK }), 200);
	cr_expect_not(answered("minuted 0"));
	memory_answer_fini(&answer);
	cr_expect_eq(ask((struct ask){ "GET", "/", NULL, 0, OK }), 200);
	cr_expect(answered("minuted 0"));
	cr_expect_eq(door.identified, 0, "a public route asks for nobody");
}

Test(dispatch, head_passes_who_and_limits)
{
	cr_expect_eq(ask((struct ask){ "HEAD", "/auth/profile", NULL, 0, OK }),
	    409);
	cr_expect_eq(door.identified, 1);
	cr_expect_eq(door.admitted, 1);
}

Test(dispatch, a_body_over_the_ceiling_is_413)
{
	cr_expect_eq(ask((struct ask){
			 "POST", "/auth/login", NULL, SMALL + 1, OK }),
	    413);
	cr_expect(answered("16384 bytes"));
	cr_expect_eq(door.identified, 0);
}

Test(dispatch, at_the_ceiling_it_goes_on)
{
	cr_expect_eq(ask((struct ask){ "PATCH", "/user", NULL, SMALL, OK }),
	    409);
	memory_answer_fini(&answer);
	cr_expect_eq(ask((struct ask){ "PATCH", "/user", NULL, SMALL + 1, OK }),
	    413);
}

Test(dispatch, body_max_is_the_ceiling_of_model_calls)
{
	cr_expect_eq(ask((struct ask){
			 "POST", "/v1/chat/completions", NULL, BODY_MAX, OK }),
	    409);
	memory_answer_fini(&answer);
	cr_expect_eq(ask((struct ask){ "POST", "/v1/chat/completions", NULL,
			 BODY_MAX + 1, OK }),
	    413);
	cr_expect(answered("\"error\":{"), "in the shape of the family");
	cr_expect_geq(dispatch_body_max(&config), BODY_MAX);
}

Test(dispatch, what_the_transport_could_not_read_is_told)
{
	cr_expect_eq(ask((struct ask){
			 "POST", "/auth/login", NULL, 0, ERR_TOO_LARGE }),
	    413);
	memory_answer_fini(&answer);
	cr_expect_eq(ask((struct ask){
			 "POST", "/auth/login", NULL, 0, ERR_INPUT }),
	    400);
}

Test(dispatch, a_small_body_nobody_reads_is_ignored)
{
	cr_expect_eq(ask((struct ask){ "GET", "/", NULL, 2, OK }), 200);
	memory_answer_fini(&answer);
	cr_expect_eq(ask((struct ask){ "GET", "/", NULL, SMALL + 1, OK }), 413);
}

Test(dispatch, without_a_credential_it_is_401)
{
	door.err = ERR_AUTH;
	cr_expect_eq(ask((struct ask){ "GET", "/auth/profile", NULL, 0, OK }),
	    401);
	cr_expect_eq(door.admitted, 0);
}

Test(dispatch, when_it_cannot_be_known_who_asks_it_is_503)
{
	door.err = ERR_BUSY;
	cr_expect_eq(ask((struct ask){ "GET", "/auth/profile", NULL, 0, OK }),
	    503);
	cr_expect(answered("Retry-After: "));
	cr_expect_eq(door.admitted, 0);
}

Test(dispatch, outside_of_its_scopes_a_key_is_403)
{
	door.err = ERR_FORBIDDEN;
	cr_expect_eq(ask((struct ask){ "GET", "/auth/profile", NULL, 0, OK }),
	    403);
}

Test(dispatch, a_login_route_takes_no_key)
{
	door.who.credential = CREDENTIAL_KEY;
	cr_expect_eq(ask((struct ask){ "PATCH", "/user", NULL, 2, OK }), 403);
	cr_expect_eq(door.admitted, 0);
	memory_answer_fini(&answer);
	cr_expect_eq(ask((struct ask){ "GET", "/user", NULL, 0, OK }), 409);
}

Test(dispatch, a_token_in_the_query_counts_on_two_routes_only)
{
	size_t taken = 0;

	for (size_t i = 0; i < routes_len; i++) {
		if (routes[i].role == ROLE_PUBLIC ||
		    strchr(routes[i].path, ':') != NULL)
			continue;
		(void)ask((struct ask){ routes[i].method == HTTP_GET    ? "GET"
					: routes[i].method == HTTP_POST ? "POST"
					: routes[i].method == HTTP_PUT  ? "PUT"
					: routes[i].method == HTTP_PATCH
					    ? "PATCH"
					    : "DELETE",
		    routes[i].path, NULL, 0, OK });
		memory_answer_fini(&answer);
		taken += door.token_in_query;
	}
	cr_expect_eq(taken, 2);
	(void)ask((struct ask){ "GET", "/", NULL, 0, OK });
}

Test(dispatch, limits_come_after_who_and_before_the_key_of_a_retry)
{
	door.refused = true;
	cr_expect_eq(ask((struct ask){ "GET", "/auth/profile", NULL, 0, OK }),
	    429);
	cr_expect_eq(door.identified, 1);
	cr_expect_eq(door.admitted, 1);
	cr_expect_eq(door.passed, 0);
}

Test(dispatch, a_key_in_the_body_is_for_the_handler)
{
	door.err = ERR_AUTH;
	door.who.credential = CREDENTIAL_NONE;
	cr_expect_eq(ask((struct ask){ "POST", "/api/event-log", NULL, 2, OK }),
	    400, "it was read");
	memory_answer_fini(&answer);
	cr_expect_eq(ask((struct ask){ "POST", "/api/event-log",
			 "HTTP_X_API_KEY=wrong", 2, OK }),
	    401, "it was not");
}

Test(dispatch, a_preflight_of_a_listed_origin_is_allowed)
{
	cr_expect_eq(ask((struct ask){ "OPTIONS", "/auth/login",
			 "HTTP_ORIGIN=https://b.example", 0, OK }),
	    204);
	cr_expect(answered("Access-Control-Allow-Origin: "
			   "https://b.example\r\n"));
	cr_expect(answered("Access-Control-Allow-Methods: POST, OPTIONS\r\n"));
	cr_expect(answered("Vary: Origin\r\n"));
	cr_expect_eq(door.identified, 0);
}

Test(dispatch, other_origins_are_not)
{
	static const char *const origins[] = { "HTTP_ORIGIN=https://b.example.",
		"HTTP_ORIGIN=https://B.example", "HTTP_ORIGIN=http://b.example",
		"HTTP_ORIGIN=null", "HTTP_ORIGIN=", "HTTP_ORIGIN=https://b",
		"HTTP_ORIGIN=https://a.example, https://b.example" };

	for (size_t i = 0; i < sizeof(origins) / sizeof(origins[0]); i++) {
		cr_expect_eq(ask((struct ask){
				 "OPTIONS", "/auth/login", origins[i], 0, OK }),
		    204);
		cr_expect_not(answered("Access-Control-Allow"), "%s",
		    origins[i]);
		cr_expect(answered("Vary: Origin\r\n"));
		memory_answer_fini(&answer);
	}
	(void)ask((struct ask){ "GET", "/", NULL, 0, OK });
}
