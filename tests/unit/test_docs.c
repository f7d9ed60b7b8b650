/*
 * test_docs.c - the document and the page, as they leave.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "api/docs.h"
#include "api/service.h"
#include "http/memory.h"
#include "json/read.h"

static struct memory_answer answer;

static struct http_request *
make(const char *header)
{
	const char *const envp[] = { "REQUEST_METHOD=GET",
		"REQUEST_URI=/openapi.json", header, NULL };
	struct http_request *req = NULL;

	cr_assert_eq(memory_request(envp, NULL, 0, &answer, &req), OK);
	return req;
}

/* The answer of handler; header is one of the request's, or NULL. */
static const char *
get(enum handled (*handler)(struct http_request *), const char *header)
{
	struct http_request *req = make(header);

	cr_assert_eq(handler(req), ANSWERED);
	request_finish(req);
	cr_assert(answer.finished);
	return buf_str(&answer.bytes);
}

static const char *
body_of(const char *text)
{
	return strstr(text, "\r\n\r\n") + 4;
}

static void
end(void)
{
	memory_answer_fini(&answer);
}

TestSuite(docs, .fini = end);

Test(docs, the_document_is_json_within_the_limits_of_our_own_gate)
{
	const char *body = body_of(get(docs_openapi, NULL));
	struct arena *arena = arena_new();
	struct jsonr *document;
	const char *version;

	cr_assert_eq(jsonr_parse(arena, body, strlen(body), &document, NULL),
	    OK);
	cr_assert_eq(jsonr_string(jsonr_get(jsonr_get(document, "info"),
				      "version"),
			 &version, NULL),
	    OK);
	cr_expect_str_eq(version, service_version());
	arena_free(arena);
}

Test(docs, the_mark_of_the_version_is_there_once)
{
	const char *mark = strstr(docs_openapi_text, "@VERSION@");

	cr_assert_not_null(mark);
	cr_expect_null(strstr(mark + 1, "@VERSION@"));
	cr_expect_null(strstr(get(docs_openapi, NULL), "@VERSION@"));
}

/* The ETag line of text as a header of a request. */
static const char *
header_of_etag(const char *text, char out[64])
{
	const char *etag = strstr(text, "ETag: ");
	size_t len;

	cr_assert_not_null(etag);
	etag += strlen("ETag: ");
	len = strcspn(etag, "\r");
	cr_assert_eq(len, 18);
	memcpy(out, "HTTP_IF_NONE_MATCH=", 19);
	memcpy(out + 19, etag, len);
	out[19 + len] = '\0';
	return out;
}

Test(docs, who_has_the_document_gets_no_body)
{
	char header[64];
	const char *text;

	(void)header_of_etag(get(docs_openapi, NULL), header);
	end();
	memset(&answer, 0, sizeof(answer));
	text = get(docs_openapi, header);
	cr_expect_eq(strncmp(text, "Status: 304", 11), 0);
	cr_expect_str_eq(body_of(text), "");
	cr_expect_not_null(strstr(text, "ETag: \""));
}

Test(docs, another_etag_gets_it_whole)
{
	const char *text = get(docs_openapi, "HTTP_IF_NONE_MATCH=\"x\"");

	cr_expect_eq(strncmp(text, "Status: 200", 11), 0);
}

Test(docs, the_page_runs_nothing_but_files_of_this_host)
{
	const char *text = get(docs_page, NULL);

	cr_expect_not_null(strstr(text, "Content-Security-Policy: default-src "
					"'none'; script-src 'self'; "));
	cr_expect_null(strstr(text, "unsafe"));
	cr_expect_null(strstr(text, "://"));
	cr_expect_not_null(strstr(text, "href=\"/openapi.json\""));
}
