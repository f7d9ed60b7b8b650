/*
 * test_idempotency.c - a POST that is sent again is done once.
 */
#include "api/idempotency.h"
#include "api/ticket.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <time.h>

#include "asking.h"
#include "http/problem.h"
#include "http/response.h"

#define AT_ONCE 8

static void
setup(void)
{
	asking_setup();
	cr_assert_eq(ticket_start(&asking_config, &asking_app.idempotency), OK);
}

static void
teardown(void)
{
	if (asking_app.idempotency != NULL)
		pool_stop(asking_app.idempotency);
	asking_teardown();
}

TestSuite(idempotency, .init = setup, .fini = teardown, .timeout = 60);

/* A request, and its answer. */
struct
try {
	struct memory_answer answer;
	struct http_request *req;
	pthread_mutex_t lock;
	bool finished;
	int status;
};

static void
on_finish(struct http_request *req, void *arg)
{
	struct try *try = arg;

	pthread_mutex_lock(&try->lock);
	try->status = req->status;
	try->finished = true;
	pthread_mutex_unlock(&try->lock);
}

/* Comes in: true when it is to be done. */
static bool
comes(struct try *try, const char *key, const char *uri, const char *body)
{
	char header[512] = "HTTP_IDEMPOTENCY_KEY=";
	char path[256] = "REQUEST_URI=";
	const char *const envp[] = { "REQUEST_METHOD=POST", path,
		"CONTENT_TYPE=application/json",
		key != NULL ? header : "X=", NULL };

	memset(try, 0, sizeof(*try));
	pthread_mutex_init(&try->lock, NULL);
	if (key != NULL)
		memcpy(header + strlen(header), key, strlen(key) + 1);
	memcpy(path + strlen(path), uri, strlen(uri) + 1);
	try->req = asking_request(envp, body, &try->answer);
	try->req->on_finish = on_finish;
	try->req->on_finish_arg = try;
	return idempotency_passes_or_reply(try->req);
}

/* Waits until the answer is out; its status.  It is in try->answer. */
static int
goes(struct try *try)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	bool finished = false;

	request_finish(try->req);
	while (!finished) {
		(void)nanosleep(&pause, NULL);
		pthread_mutex_lock(&try->lock);
		finished = try->finished;
		pthread_mutex_unlock(&try->lock);
	}
	while (!try->answer.finished)
		(void)nanosleep(&pause, NULL);
	return try->status;
}

static void
forget(struct try *try)
{
	memory_answer_fini(&try->answer);
	pthread_mutex_destroy(&try->lock);
}

/* It is done, and answered with status and text. */
static void
is_done(struct try *try, int status, const char *text)
{
	response_header(try->req, "X-Call-Id", "the-call");
	response_header(try->req, "RateLimit-Limit", "7");
	(void)response_json(try->req, status);
	buf_adds(&try->req->out, text);
	idempotency_settle(try->req);
	cr_assert_eq(goes(try), status);
	forget(try);
}

#define ROUTE  "/api/event-log"
#define ATOMIC "/api/chats"

static bool
has(const struct try *try, const char *text)
{
	return strstr(buf_str(&try->answer.bytes), text) != NULL;
}

/* Comes in and is not done: its status and what is in the answer. */
static void
is_answered(const char *key, const char *uri, const char *body, int status,
    const char *text)
{
	struct try try;

	cr_expect_not(comes(&try, key, uri, body));
	cr_expect_eq(goes(&try), status);
	cr_expect(has(&try, text), "%s: %s", text, buf_str(&try.answer.bytes));
	forget(&try);
}

Test(idempotency, without_a_key_every_request_is_done)
{
	struct try try;

	for (int i = 0; i < 3; i++) {
		cr_expect(comes(&try, NULL, ROUTE, "{}"));
		is_done(&try, 201, "{}");
	}
}

Test(idempotency, done_once_the_answer_is_given_again)
{
	struct try try;

	cr_assert(comes(&try, "k", ROUTE, "{\"a\":1}"));
	is_done(&try, 201, "{\"id\":\"\\u0001 and \xc3\xa9\"}");
	for (int i = 0; i < 3; i++) {
		cr_assert_not(comes(&try, "k", ROUTE, "{\"a\":1}"));
		cr_expect_eq(goes(&try), 201);
		cr_expect(has(&try,
		    "\r\n\r\n{\"id\":\"\\u0001 and \xc3\xa9\"}"));
		cr_expect(has(&try, "Idempotency-Replayed: true\r\n"));
		cr_expect(has(&try, "X-Call-Id: the-call\r\n"));
		cr_expect_not(has(&try, "RateLimit-Limit"), "not its own");
		forget(&try);
	}
}

Test(idempotency, while_it_runs_the_second_is_a_conflict)
{
	struct try first;

	cr_assert(comes(&first, "k", ROUTE, "{}"));
	is_answered("k", ROUTE, "{}", 409, "idempotency_running");
	is_answered("k", ROUTE, "{}", 409, "Retry-After: 1\r\n");
	is_done(&first, 201, "{}");
	is_answered("k", ROUTE, "{}", 201, "Idempotency-Replayed: true");
}

Test(idempotency, another_body_path_or_query_is_a_conflict)
{
	struct try try;

	cr_assert(comes(&try, "k", ROUTE, "{}"));
	is_answered("k", ROUTE, "{ }", 409, "idempotency_mismatch");
	is_done(&try, 201, "{}");
	is_answered("k", ROUTE, "{ }", 409, "idempotency_mismatch");
	is_answered("k", "/api/v1/chats", "{}", 409, "idempotency_mismatch");
	is_answered("k", ROUTE "?x=1", "{}", 409, "idempotency_mismatch");
	cr_expect(comes(&try, "another", ROUTE, "{}"));
	is_done(&try, 201, "{}");
}

Test(idempotency, failures_are_not_kept)
{
	static const int failures[] = { 500, 502, 503, 504, 429 };
	struct try try;

	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		cr_assert(comes(&try, "k", ROUTE, "{}"), "after %zu", i);
		is_done(&try, failures[i], "{}");
	}
	cr_expect(comes(&try, "k", ROUTE, "{}"));
	is_done(&try, 201, "{}");
}

Test(idempotency, what_the_client_did_wrong_is_kept)
{
	struct try try;

	cr_assert(comes(&try, "k", ROUTE, "{}"));
	is_done(&try, 400, "{\"x\":1}");
	is_answered("k", ROUTE, "{}", 400, "{\"x\":1}");
}

/* Makes count ids in a request that fails. */
static void
make_ids(const char *body, struct uuid *ids, size_t count, struct uuid *mark)
{
	struct try try;

	cr_assert(comes(&try, "k", ROUTE, body));
	for (size_t i = 0; i < count; i++)
		cr_assert_eq(idempotency_id(try.req, &ids[i]), OK);
	cr_assert_eq(idempotency_mark(try.req, mark), OK);
	is_done(&try, 503, "{}");
}

Test(idempotency, every_attempt_makes_the_same_ids_in_order)
{
	struct uuid first[2000], again[2000], other[2000], marks[3];
	size_t bytes = sizeof(first[0].bytes);

	make_ids("{}", first, 2000, &marks[0]);
	make_ids("{}", again, 2000, &marks[1]);
	cr_expect_arr_eq(first, again, sizeof(first));
	for (size_t i = 1; i < 2000; i++)
		cr_assert_lt(memcmp(first[i - 1].bytes, first[i].bytes, bytes),
		    0);
	cr_expect_eq(first[1999].bytes[6] >> 4, 7);
	cr_expect_eq(first[1999].bytes[8] >> 6, 2);
	cr_expect_lt(memcmp(marks[0].bytes, marks[1].bytes, bytes), 0);
	cr_expect_arr_eq(marks[0].bytes + 8, marks[1].bytes + 8, 8);
	make_ids("{ }", other, 2000, &marks[2]);
	for (size_t i = 0; i < 2000; i++)
		cr_assert_neq(memcmp(first[i].bytes + 8, other[i].bytes + 8, 8),
		    0);
	cr_expect_neq(memcmp(marks[0].bytes + 8, marks[2].bytes + 8, 8), 0);
}

Test(idempotency, what_is_atomic_is_done_with_its_answer_or_not_at_all)
{
	struct try try;

	for (int i = 0; i < 2; i++) {
		cr_assert(comes(&try, "k", ATOMIC, "{}"));
		cr_expect(db_is_wrapped(try.req->db));
		is_done(&try, i == 0 ? 500 : 201, "{}");
		cr_expect_not(db_is_wrapped(asking_db));
	}
	is_answered("k", ATOMIC, "{}", 201, "Idempotency-Replayed: true");
	cr_assert(comes(&try, "lost", ATOMIC, "{}"));
	cr_expect_neq(db_query(asking_db, DB_MIGRATIONS_ADD,
			  (const char *const[]){ NULL, NULL }, NULL),
	    OK);
	response_header(try.req, "X", "y");
	(void)response_json(try.req, 201);
	idempotency_settle(try.req);
	cr_expect_eq(goes(&try), 503, "a part of it failed");
	forget(&try);
	cr_assert(comes(&try, "lost", ATOMIC, "{}"));
	is_done(&try, 404, "{}");
	is_answered("lost", ATOMIC, "{}", 404, "Idempotency-Replayed: true");
}

Test(idempotency, a_secret_is_not_kept_nor_made_twice)
{
	struct try try;

	cr_assert(comes(&try, "k", "/api/apikeys", "{}"));
	is_done(&try, 201, "{\"key\":\"mnt_secret\"}");
	is_answered("k", "/api/apikeys", "{}", 409, "idempotency_not_kept");
	scratch_do(asking_db,
	    "do $$ begin assert (select bool_and(body is null) from"
	    " minuted.idempotency_keys); end $$");
}

Test(idempotency, a_worker_that_died_leaves_its_key_for_a_while)
{
	struct try dead, next;

	cr_assert(comes(&dead, "k", ROUTE, "{}"));
	is_answered("k", ROUTE, "{}", 409, "idempotency_running");
	scratch_do(asking_db,
	    "update minuted.idempotency_keys set created_at = now() -"
	    " interval '62 seconds'");
	cr_expect(comes(&next, "k", ROUTE, "{}"));
	is_done(&dead, 201, "{\"late\":1}");
	is_answered("k", ROUTE, "{}", 409, "idempotency_running");
	is_done(&next, 201, "{\"next\":1}");
	is_answered("k", ROUTE, "{}", 201, "{\"next\":1}");
}

Test(idempotency, after_a_day_a_key_is_new)
{
	struct try try;

	cr_assert(comes(&try, "k", ROUTE, "{}"));
	is_done(&try, 201, "{}");
	scratch_do(asking_db,
	    "update minuted.idempotency_keys set created_at = now() -"
	    " interval '24 hours 1 second'");
	cr_expect(comes(&try, "k", ROUTE, "{\"other\":1}"));
	is_done(&try, 201, "{}");
}

Test(idempotency, a_key_is_1_to_255_visible_characters)
{
	char key[IDEMPOTENCY_KEY_MAX + 2];
	struct try try;

	memset(key, 'k', sizeof(key));
	key[IDEMPOTENCY_KEY_MAX + 1] = '\0';
	is_answered(key, ROUTE, "{}", 400, "Idempotency-Key must be");
	is_answered("a b", ROUTE, "{}", 400, "Idempotency-Key must be");
	is_answered("\xc3\xa9", ROUTE, "{}", 400, "Idempotency-Key must be");
	key[IDEMPOTENCY_KEY_MAX] = '\0';
	cr_expect(comes(&try, key, ROUTE, "{}"));
	is_done(&try, 201, "{}");
}

Test(idempotency, logins_and_registrations_take_no_keys)
{
	struct try try;

	for (int i = 0; i < 2; i++) {
		cr_expect(comes(&try, "k", "/auth/login", "{}"));
		is_done(&try, 200, "{}");
	}
}

Test(idempotency, a_key_that_cannot_be_kept_is_a_503)
{
	struct try try;

	scratch_do(asking_db,
	    "alter table minuted.idempotency_keys rename to gone");
	cr_expect_not(comes(&try, "k", ROUTE, "{}"));
	cr_expect_geq(goes(&try), 500);
	forget(&try);
}

struct racer {
	pthread_t thread;
	struct try try;
	struct db *db;
	bool won;
};

static void *
race(void *arg)
{
	static const char *const envp[] = { "REQUEST_METHOD=POST",
		"REQUEST_URI=" ROUTE, "CONTENT_TYPE=application/json",
		"HTTP_IDEMPOTENCY_KEY=k", NULL };
	struct racer *racer = arg;

	racer->try.req = asking_request(envp, "{}", &racer->try.answer);
	racer->try.req->db = racer->db;
	racer->try.req->on_finish = on_finish;
	racer->try.req->on_finish_arg = &racer->try;
	racer->won = idempotency_passes_or_reply(racer->try.req);
	return NULL;
}

Test(idempotency, of_many_at_once_one_is_done)
{
	static struct racer racers[AT_ONCE];
	int won = 0;

	for (size_t i = 0; i < AT_ONCE; i++) {
		pthread_mutex_init(&racers[i].try.lock, NULL);
		racers[i].db = scratch_connect(scratch_url, 5000);
	}
	for (size_t i = 0; i < AT_ONCE; i++)
		cr_assert_eq(pthread_create(&racers[i].thread, NULL, race,
				 &racers[i]),
		    0);
	for (size_t i = 0; i < AT_ONCE; i++) {
		pthread_join(racers[i].thread, NULL);
		won += racers[i].won;
	}
	cr_expect_eq(won, 1);
	for (size_t i = 0; i < AT_ONCE; i++) {
		if (racers[i].won)
			(void)response_empty(racers[i].try.req, 204);
		cr_expect_eq(goes(&racers[i].try), racers[i].won ? 204 : 409);
		forget(&racers[i].try);
		db_free(racers[i].db);
	}
}
