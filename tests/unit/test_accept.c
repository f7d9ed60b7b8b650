/*
 * test_accept.c - which of several media types a client would rather have.
 */
#include <criterion/criterion.h>

#include "http/accept.h"
#include "http/memory.h"

#define TEXT 0
#define JSON 1
#define SSE  2

static const char *const types[] = { "text/plain", "application/json",
	"text/event-stream", NULL };

/* With the two variables, of which one may be NULL. */
static size_t
best_of(const char *accept, const char *more)
{
	const char *const envp[] = { "REQUEST_METHOD=GET", "REQUEST_URI=/",
		accept, more, NULL };
	struct http_request *req = NULL;
	struct memory_answer answer;
	size_t best;

	cr_assert_eq(memory_request(envp, NULL, 0, &answer, &req), OK);
	best = accept_best(req, types);
	request_free(req);
	memory_answer_fini(&answer);
	return best;
}

static void
expect(const char *accept, size_t wanted)
{
	size_t best = best_of(accept, NULL);

	cr_expect_eq(best, wanted, "%s: %zu", accept, best);
}

Test(accept, a_type_that_is_named_is_taken)
{
	expect("HTTP_ACCEPT=text/event-stream", SSE);
	expect("HTTP_ACCEPT=Text/Event-Stream ; q=0.5", SSE);
	expect("HTTP_ACCEPT=a/b;x=\"1,2\", text/event-stream", SSE);
	expect("HTTP_ACCEPT=text/event-stream;charset=utf-8", SSE);
	expect("HTTP_ACCEPT=text/event-stream;q=0.001", SSE);
	expect("HTTP_ACCEPT=application/json, text/html", JSON);
	expect("HTTP_ACCEPT=text/plain", TEXT);
}

Test(accept, the_first_is_for_those_who_do_not_say)
{
	cr_expect_eq(best_of(NULL, NULL), TEXT);
	expect("HTTP_X=text/event-stream", TEXT);
	expect("HTTP_ACCEPT=", TEXT);
	expect("HTTP_ACCEPT=*/*", TEXT);
	expect("HTTP_ACCEPT=text/*", TEXT);
	expect("HTTP_ACCEPT=text/html, image/png", TEXT);
	expect("HTTP_ACCEPT=text/event-streams", TEXT);
	expect("HTTP_ACCEPT=text/event-stream;q=0", TEXT);
	expect("HTTP_ACCEPT=text/event-stream; Q=0.000", TEXT);
	expect("HTTP_ACCEPT=application/json;q=0, text/event-stream;q=0", TEXT);
	expect("HTTP_ACCEPT=a/b;x=\"text/event-stream", TEXT);
	expect("HTTP_ACCEPT=a/b;x=\"\\\",text/event-stream\"", TEXT);
	expect("HTTP_ACCEPT=;,;q=,/,*,", TEXT);
}

Test(accept, the_highest_quality_wins)
{
	expect("HTTP_ACCEPT=text/event-stream;q=0.1, application/json", JSON);
	expect("HTTP_ACCEPT=text/event-stream, application/json;q=0.9", SSE);
	expect("HTTP_ACCEPT=application/json;q=0.5, */*;q=0.8", TEXT);
	expect("HTTP_ACCEPT=text/plain;q=.2,application/json;q=0.21", JSON);
	expect("HTTP_ACCEPT=text/plain;q=0.998,application/json;q=0.999", JSON);
	expect("HTTP_ACCEPT=text/plain;a=1;q=0.3, application/json;q=0.4",
	    JSON);
	/* what is no number says nothing */
	expect("HTTP_ACCEPT=text/plain;q=0.9, application/json;q=high", JSON);
}

Test(accept, the_range_that_names_most_says_the_quality)
{
	expect("HTTP_ACCEPT=text/*;q=0.9, text/plain;q=0.1, */*;q=0.5", SSE);
	expect("HTTP_ACCEPT=text/*;q=0, */*", JSON);
	expect("HTTP_ACCEPT=text/plain;q=0, */*", JSON);
	expect("HTTP_ACCEPT=text/event-stream;q=0, text/event-stream", SSE);
}

Test(accept, of_equals_the_named_one_is_before_a_wildcard)
{
	expect("HTTP_ACCEPT=application/json, */*", JSON);
	expect("HTTP_ACCEPT=*/*, text/event-stream", SSE);
	expect("HTTP_ACCEPT=application/*, text/*, */*", TEXT);
	expect("HTTP_ACCEPT=application/*, */*", JSON);
}

Test(accept, of_those_named_the_first_is_before_the_others)
{
	expect("HTTP_ACCEPT=application/json, text/event-stream", JSON);
	expect("HTTP_ACCEPT=text/event-stream, application/json", SSE);
	expect("HTTP_ACCEPT=application/json, text/plain, */*", JSON);
	expect("HTTP_ACCEPT=text/plain, application/json", TEXT);
}

Test(accept, a_header_that_is_sent_twice_is_one_list)
{
	cr_expect_eq(best_of("HTTP_ACCEPT=text/html",
			 "HTTP_ACCEPT=application/json"),
	    JSON);
	cr_expect_eq(best_of("HTTP_ACCEPT=text/event-stream",
			 "HTTP_ACCEPT=application/json"),
	    SSE);
}
