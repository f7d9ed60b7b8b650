/*
 * test_identify.c - who is asking, by every way of saying it.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "auth/identify.h"
#include "auth/secret.h"
#include "base/clock.h"
#include "fake_db.h"

#define USER       "0190f3c4-0000-7000-8000-000000000001"
#define OTHER_USER "0190f3c4-0000-7000-8000-000000000002"
#define KEY        "0190f3c4-0000-7000-8000-00000000000a"

static struct config config = { .auth_stale_ms = 60000 };
static struct auth auth = {
	.config = &config,
	.keys = { .secret = "0123456789abcdef0123456789abcdef",
	    .life_ms = 900000 },
};
static struct http_request *req;
static struct http_header headers[4];
static struct http_param query[1];
static char key[SECRET_KEY_SIZE];
static char *token;

static void
set_up(void)
{
	char prefix[SECRET_PREFIX_SIZE];
	struct uuid id;

	fake_setup();
	cr_assert_eq(secret_key_make(key, prefix), OK);
	fake.users[0] = (struct fake_user){ .id = USER, .version = 4 };
	fake.users[1] =
	    (struct fake_user){ .id = OTHER_USER, .version = 1, .admin = true };
	fake.user_count = 2;
	fake.keys[0] =
	    (struct fake_key){ .id = KEY, .user_id = USER, .active = true };
	secret_hash(key, fake.keys[0].hash);
	fake.key_count = 1;
	cr_assert_eq(auth_cache_start(&config, NULL, NULL, &auth.cache), OK);
	auth.verified = verified_new(&auth.keys);
	cr_assert_not_null(auth.verified);
	cr_assert_eq(uuid_parse(USER, &id), OK);
	cr_assert_eq(token_issue(&auth.keys, &id, &id, 4, &token), OK);
	req = calloc(1, sizeof(*req));
	cr_assert_not_null(req);
	req->db = db_new(&(struct db_options){ .url = NULL });
	req->path = "/api/chats";
	req->headers = headers;
	req->query = query;
}

static void
tear_down(void)
{
	db_free(req->db);
	free(req);
	free(token);
	auth_cache_stop(auth.cache);
	verified_free(auth.verified);
	close(fake.note_fd);
}

TestSuite(identify, .init = set_up, .fini = tear_down, .timeout = 30);

static char *
join(const char *a, const char *b)
{
	char *text = calloc(1, strlen(a) + strlen(b) + 1);

	cr_assert_not_null(text);
	memcpy(text, a, strlen(a));
	memcpy(text + strlen(a), b, strlen(b));
	return text;
}

static enum err
ask(const char *authorization, const char *api_key, const char *query_token)
{
	memset(&req->who, 0, sizeof(req->who));
	req->header_count = 0;
	if (authorization != NULL)
		headers[req->header_count++] =
		    (struct http_header){ "authorization", authorization };
	if (api_key != NULL)
		headers[req->header_count++] =
		    (struct http_header){ "x-api-key", api_key };
	query[0] = (struct http_param){ "token", query_token };
	req->query_count = query_token != NULL;
	return identify(&auth, req, query_token != NULL);
}

static enum err
ask_bearer(const char *scheme, const char *credential)
{
	char *header = join(scheme, credential);
	enum err err = ask(header, NULL, NULL);

	free(header);
	return err;
}

Test(identify, a_token_is_its_user)
{
	cr_assert_eq(ask_bearer("Bearer ", token), OK);
	cr_expect_eq(req->who.credential, CREDENTIAL_TOKEN);
	cr_expect_str_eq(req->who.user_text, USER);
	cr_expect_str_eq(req->who.key_text, "");
	cr_expect_not(req->who.admin);
	cr_expect_gt(req->who.token_iat, 0);
}

Test(identify, a_key_is_its_user_in_either_header)
{
	cr_assert_eq(ask_bearer("Bearer ", key), OK);
	cr_expect_eq(req->who.credential, CREDENTIAL_KEY);
	cr_expect_str_eq(req->who.user_text, USER);
	cr_expect_str_eq(req->who.key_text, KEY);
	cr_assert_eq(ask(NULL, key, NULL), OK);
	cr_expect_eq(req->who.credential, CREDENTIAL_KEY);
	cr_expect_eq(identify_key(&auth, req, key), OK);
}

Test(identify, the_scheme_has_any_case_and_nothing_else_is_taken)
{
	cr_expect_eq(ask_bearer("bearer ", token), OK);
	cr_expect_eq(ask_bearer("BEARER   ", token), OK);
	cr_expect_eq(ask_bearer("Basic ", token), ERR_AUTH);
	cr_expect_eq(ask_bearer("Bearer", token), ERR_AUTH);
	cr_expect_eq(ask_bearer("", token), ERR_AUTH);
	cr_expect_eq(ask_bearer("Bearer Bearer ", token), ERR_AUTH);
	cr_expect_eq(ask("Bearer ", NULL, NULL), ERR_AUTH);
	cr_expect_eq(ask("", NULL, NULL), ERR_AUTH);
	cr_expect_eq(ask(NULL, "", NULL), ERR_AUTH);
	cr_expect_eq(ask(NULL, token, NULL), ERR_AUTH, "a token is no key");
	cr_expect_eq(ask(NULL, NULL, NULL), ERR_AUTH);
}

Test(identify, nothing_is_filled_in_on_refusal)
{
	cr_expect_eq(ask_bearer("Bearer x", token), ERR_AUTH);
	cr_expect_eq(req->who.credential, CREDENTIAL_NONE);
	cr_expect_str_eq(req->who.user_text, "");
}

Test(identify, two_credentials_that_differ_are_none)
{
	char *with_key = join("Bearer ", key),
	     *with_token = join("Bearer ", token);

	cr_expect_eq(ask(with_key, key, NULL), OK, "the same one twice");
	cr_expect_eq(ask(with_token, key, NULL), ERR_AUTH);
	cr_expect_eq(ask(with_token, NULL, token), OK);
	cr_expect_eq(ask(with_token, NULL, "x"), ERR_AUTH);
	cr_expect_eq(ask(NULL, key, token), ERR_AUTH);
	cr_expect_eq(ask("Basic eA==", key, NULL), ERR_AUTH);
	free(with_key);
	free(with_token);
}

Test(identify, the_query_is_only_read_where_the_route_says_so)
{
	cr_expect_eq(ask(NULL, NULL, token), OK);
	cr_expect_eq(identify(&auth, req, false), ERR_AUTH);
	cr_expect_eq(ask(NULL, NULL, key), ERR_AUTH, "no key in a URL");
}

Test(identify, a_mistyped_key_costs_no_query)
{
	key[20] = key[20] == 'x' ? 'y' : 'x';
	cr_expect_eq(ask(NULL, key, NULL), ERR_AUTH);
	cr_expect_eq(fake.key_queries, 0);
}

Test(identify, an_unknown_key_is_refused)
{
	char other[SECRET_KEY_SIZE], prefix[SECRET_PREFIX_SIZE];

	cr_assert_eq(secret_key_make(other, prefix), OK);
	cr_expect_eq(ask(NULL, other, NULL), ERR_AUTH);
	cr_expect_eq(fake.key_queries, 1);
}

Test(identify, an_inactive_key_is_refused)
{
	fake.keys[0].active = false;
	cr_expect_eq(ask(NULL, key, NULL), ERR_AUTH);
}

Test(identify, a_key_ends_when_it_says_so_even_from_the_cache)
{
	fake.keys[0].expires_us = clock_wall_us() + 300000;
	cr_expect_eq(ask(NULL, key, NULL), OK);
	usleep(400000);
	cr_expect_eq(ask(NULL, key, NULL), ERR_AUTH);
}

Test(identify, a_disabled_user_is_refused_with_either)
{
	fake.users[0].disabled = true;
	cr_expect_eq(ask_bearer("Bearer ", token), ERR_AUTH);
	cr_expect_eq(ask(NULL, key, NULL), ERR_AUTH);
}

Test(identify, a_deleted_user_is_refused_with_either)
{
	fake.user_count = 0;
	cr_expect_eq(ask_bearer("Bearer ", token), ERR_AUTH);
	cr_expect_eq(ask(NULL, key, NULL), ERR_AUTH);
}

Test(identify, a_token_of_an_older_version_is_refused_and_keys_live_on)
{
	fake.users[0].version = 5;
	cr_expect_eq(ask_bearer("Bearer ", token), ERR_AUTH);
	cr_expect_eq(ask(NULL, key, NULL), OK);
}

Test(identify, an_administrator_is_known_as_one)
{
	memcpy(fake.keys[0].user_id, OTHER_USER, 37);
	cr_assert_eq(ask(NULL, key, NULL), OK);
	cr_expect(req->who.admin);
}

Test(identify, what_cannot_be_known_is_busy_not_allowed)
{
	fake_cut(true);
	cr_expect_eq(ask_bearer("Bearer ", token), ERR_BUSY);
	cr_expect_eq(ask(NULL, key, NULL), ERR_BUSY);
	cr_expect_eq(req->who.credential, CREDENTIAL_NONE);
}

Test(identify, claims_are_those_of_the_header)
{
	struct token_claims claims;
	char *header = join("Bearer ", token);

	cr_assert_eq(ask(header, NULL, NULL), OK);
	cr_assert_eq(identify_claims(&auth, req, &claims), OK);
	cr_expect_eq(claims.version, 4);
	cr_expect_not(uuid_is_zero(&claims.family_id));
	free(header);
	cr_assert_eq(ask(NULL, key, NULL), OK);
	cr_expect_eq(identify_claims(&auth, req, &claims), ERR_AUTH);
}

Test(identify, every_path_has_one_scope)
{
	static const struct {
		const char *path;
		enum scope scope;
	} cases[] = {
		{ "/api/event-log", SCOPE_INGEST },
		{ "/api/event-log/batch", SCOPE_INGEST },
		{ "/api/llm-log", SCOPE_INGEST },
		{ "/api/llm-log/batch", SCOPE_INGEST },
		{ "/api/event-logs", SCOPE_DATA },
		{ "/api/event-log/x", SCOPE_DATA },
		{ "/v1/chat/completions", SCOPE_CALLS },
		{ "/v1", SCOPE_DATA },
		{ "/proxy-api", SCOPE_CALLS },
		{ "/proxy-api/dashboard", SCOPE_DATA },
		{ "/api/chats/abc/completions", SCOPE_CALLS },
		{ "/api/v1/chats/abc/completions", SCOPE_CALLS },
		{ "/api/chats/a/b/completions", SCOPE_DATA },
		{ "/api/chats", SCOPE_DATA },
		{ "/", SCOPE_DATA },
		{ "", SCOPE_DATA },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_eq(identify_scope(cases[i].path), cases[i].scope,
		    "%s", cases[i].path);
}

Test(identify, a_key_with_scopes_opens_only_those)
{
	memcpy(fake.keys[0].scopes, "ingest", 7);
	cr_expect_eq(ask(NULL, key, NULL), ERR_FORBIDDEN);
	cr_expect_eq(req->who.credential, CREDENTIAL_NONE);
	req->path = "/api/event-log";
	cr_expect_eq(ask(NULL, key, NULL), OK);
	cr_expect(identify_has_scope(0, "/anything"));
	cr_expect_not(identify_has_scope(SCOPE_OTHER, "/api/event-log"));
}
