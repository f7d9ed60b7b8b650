/*
 * test_envp.c - CGI variables: what is taken, decoded and refused.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "http/envp.h"
#include "http/request.h"

static struct http_request *
read_env(const char *const *envp, enum err expected)
{
	struct http_request *req = request_new();

	cr_assert_not_null(req);
	cr_assert_eq(request_from_cgi(req, envp), expected);
	cr_assert_eq(req->fail.err, expected);
	return req;
}

static struct http_request *
read_uri(const char *uri, enum err expected)
{
	const char *const envp[] = { "REQUEST_METHOD=GET", uri, NULL };

	return read_env(envp, expected);
}

Test(envp, a_path_is_decoded_once_and_loses_one_slash)
{
	const struct {
		const char *uri, *path, *query;
	} cases[] = {
		{ "REQUEST_URI=/", "/", "" },
		{ "REQUEST_URI=/?a=1", "/", "a=1" },
		{ "REQUEST_URI=/api/chats/", "/api/chats", "" },
		{ "REQUEST_URI=/api/chats/?x", "/api/chats", "x" },
		{ "REQUEST_URI=/a%20b", "/a b", "" },
		{ "REQUEST_URI=/a%2520b", "/a%20b", "" },
		{ "REQUEST_URI=/a+b", "/a+b", "" },
		{ "REQUEST_URI=/%c3%a9", "/\xc3\xa9", "" },
		{ "REQUEST_URI=/...", "/...", "" },
		{ "REQUEST_URI=/.well-known", "/.well-known", "" },
		{ "REQUEST_URI=/x?a=/../b", "/x", "a=/../b" },
		{ "PATH_INFO=/from/path", "/from/path", "" },
		{ "PATH_INFO=/not%20decoded", "/not%20decoded", "" },
		{ "OTHER=1", "/", "" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct http_request *req = read_uri(cases[i].uri, OK);

		cr_expect_str_eq(req->path, cases[i].path);
		cr_expect_str_eq(req->query_text, cases[i].query);
		request_free(req);
	}
}

Test(envp, a_path_that_two_could_read_differently_is_refused)
{
	const char *const uris[] = { "REQUEST_URI=/a//b", "REQUEST_URI=//",
		"REQUEST_URI=/a/../b", "REQUEST_URI=/a/..", "REQUEST_URI=/.",
		"REQUEST_URI=/a/./b", "REQUEST_URI=/%2e%2e/b",
		"REQUEST_URI=/a%2f%2fb", "REQUEST_URI=/a%00b",
		"REQUEST_URI=/a%0ab", "REQUEST_URI=/a%7f", "REQUEST_URI=/%zz",
		"REQUEST_URI=/%4", "REQUEST_URI=/%c0%80", "REQUEST_URI=/\xff",
		"REQUEST_URI=/%ed%a0%80", "REQUEST_URI=*",
		"REQUEST_URI=http://host/x", "REQUEST_URI=a",
		"PATH_INFO=/a/../b", "PATH_INFO=/\xff", "PATH_INFO=rel" };

	for (size_t i = 0; i < sizeof(uris) / sizeof(uris[0]); i++) {
		struct http_request *req = read_uri(uris[i], ERR_INPUT);

		cr_expect_null(req->path, "%s", uris[i]);
		cr_expect_str_eq(req->broken_path, "/", "%s", uris[i]);
		cr_expect_neq(req->id[0], '\0');
		request_free(req);
	}
}

Test(envp, a_broken_path_keeps_its_family)
{
	struct http_request *req = read_uri("REQUEST_URI=/v1/%zz", ERR_INPUT);

	cr_expect_str_eq(req->broken_path, "/v1");
	request_free(req);
	req = read_uri("REQUEST_URI=/v1/messages/..", ERR_INPUT);
	cr_expect_str_eq(req->broken_path, "/v1/messages");
	request_free(req);
}

Test(envp, an_endless_path_or_query_is_refused)
{
	static char uri[20000];

	memset(uri, 'a', sizeof(uri) - 1);
	memcpy(uri, "REQUEST_URI=/", 13);
	request_free(read_uri(uri, ERR_INPUT));
	uri[14] = '?';
	request_free(read_uri(uri, ERR_INPUT));
	memset(uri + 15, '&', 300);
	uri[400] = '\0';
	request_free(read_uri(uri, ERR_INPUT));
}

Test(envp, query_pairs_are_decoded_as_forms)
{
	struct http_request *req =
	    read_uri("REQUEST_URI=/"
		     "x?filters[Model]=a+b&&filters%5BModel%5D=second"
		     "&flag&empty=&pl%2Bus=%2B&=nameless&eq=a=b",
		OK);

	cr_expect_eq(req->query_count, 7);
	cr_expect_str_eq(request_query(req, "filters[Model]"), "a b");
	cr_expect_str_eq(req->query[1].value, "second");
	cr_expect_str_eq(request_query(req, "flag"), "");
	cr_expect_str_eq(request_query(req, "empty"), "");
	cr_expect_str_eq(request_query(req, "pl+us"), "+");
	cr_expect_str_eq(request_query(req, "eq"), "a=b");
	cr_expect_null(request_query(req, "Flag"));
	request_free(req);
}

Test(envp, broken_query_escapes_are_refused)
{
	struct http_request *req = read_uri("REQUEST_URI=/x?a=%", ERR_INPUT);

	cr_expect_null(req->path);
	request_free(req);
	request_free(read_uri("REQUEST_URI=/x?%zz=1", ERR_INPUT));
	request_free(read_uri("REQUEST_URI=/x?a=%00", ERR_INPUT));
	request_free(read_uri("REQUEST_URI=/x?a=%ff", ERR_INPUT));
}

Test(envp, query_string_counts_only_without_a_uri)
{
	const char *const path[] = { "PATH_INFO=/p", "QUERY_STRING=a=1", NULL };
	const char *const uri[] = { "REQUEST_URI=/p?b=2", "QUERY_STRING=a=1",
		NULL };
	struct http_request *req = read_env(path, OK);

	cr_expect_str_eq(request_query(req, "a"), "1");
	request_free(req);
	req = read_env(uri, OK);
	cr_expect_null(request_query(req, "a"));
	cr_expect_str_eq(request_query(req, "b"), "2");
	request_free(req);
}

Test(envp, the_name_of_a_cgi_script_is_not_part_of_the_path)
{
	const char *const script[] = { "REQUEST_URI=/cgi-bin/minuted/health?a",
		"SCRIPT_NAME=/cgi-bin/minuted", "PATH_INFO=/health", NULL };
	const char *const nginx[] = { "REQUEST_URI=/v1/models",
		"SCRIPT_NAME=/v1/models", "PATH_INFO=", NULL };
	const char *const other[] = { "REQUEST_URI=/x/health", "SCRIPT_NAME=/y",
		"PATH_INFO=/health", NULL };
	struct http_request *req = read_env(script, OK);

	cr_expect_str_eq(req->path, "/health");
	request_free(req);
	req = read_env(nginx, OK);
	cr_expect_str_eq(req->path, "/v1/models");
	request_free(req);
	req = read_env(other, OK);
	cr_expect_str_eq(req->path, "/x/health");
	request_free(req);
}

Test(envp, headers_get_lower_case_names_and_the_first_wins)
{
	const char *const envp[] = { "FCGI_ROLE=RESPONDER",
		"HTTP_X_API_KEY=one", "HTTP_X_API_KEY=two", "HTTP_ACCEPT=a=b",
		"HTTP_EMPTY=", "CONTENT_TYPE=Application/JSON ; charset=UTF-8",
		"REMOTE_ADDR=192.0.2.7", "HTTP_=x", "HTTP_BARE", "BARE", NULL };
	struct http_request *req = read_env(envp, OK);

	cr_expect_eq(req->header_count, 5);
	cr_expect_str_eq(request_header(req, "x-api-key"), "one");
	cr_expect_str_eq(request_header(req, "accept"), "a=b");
	cr_expect_str_eq(request_header(req, "empty"), "");
	cr_expect_str_eq(request_header(req, "content-type"),
	    "Application/JSON ; charset=UTF-8");
	cr_expect_null(request_header(req, "role"));
	cr_expect_str_eq(req->content_type, "application/json");
	cr_expect_str_eq(req->remote_addr, "192.0.2.7");
	request_free(req);
}

Test(envp, more_headers_than_the_ceiling_are_not_read)
{
	static char text[200][16];
	const char *envp[201];

	for (size_t i = 0; i < 200; i++) {
		memcpy(text[i], "HTTP_AAA=v", 11);
		text[i][6] = (char)('A' + i / 26);
		text[i][7] = (char)('A' + i % 26);
		envp[i] = text[i];
	}
	envp[200] = NULL;
	struct http_request *req = read_env(envp, OK);

	cr_expect_eq(req->header_count, 128);
	cr_expect_str_eq(req->headers[127].value, "v");
	request_free(req);
}

Test(envp, methods_are_known_by_their_exact_name)
{
	const struct {
		const char *text;
		enum http_method method;
		bool head;
	} cases[] = {
		{ "REQUEST_METHOD=GET", HTTP_GET, false },
		{ "REQUEST_METHOD=HEAD", HTTP_GET, true },
		{ "REQUEST_METHOD=POST", HTTP_POST, false },
		{ "REQUEST_METHOD=PUT", HTTP_PUT, false },
		{ "REQUEST_METHOD=PATCH", HTTP_PATCH, false },
		{ "REQUEST_METHOD=DELETE", HTTP_DELETE, false },
		{ "REQUEST_METHOD=OPTIONS", HTTP_OPTIONS, false },
		{ "REQUEST_METHOD=get", HTTP_OTHER, false },
		{ "REQUEST_METHOD=GETTING-SOMETHING-LONG", HTTP_OTHER, false },
		{ "REQUEST_METHOD=", HTTP_OTHER, false },
		{ "NO_METHOD=1", HTTP_OTHER, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *const envp[] = { cases[i].text, NULL };
		struct http_request *req = read_env(envp, OK);

		cr_expect_eq(req->method, cases[i].method, "%s", cases[i].text);
		cr_expect_eq(req->head, cases[i].head, "%s", cases[i].text);
		request_free(req);
	}
}

Test(envp, a_request_id_is_taken_over_only_when_it_is_harmless)
{
	const char *const good[] = { "HTTP_X_REQUEST_ID=abc_DEF-123", NULL };
	const char *const bad[] = { "HTTP_X_REQUEST_ID=a b", NULL };
	const char *const longer[] = {
		"HTTP_X_REQUEST_ID="
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaaaaaaaaaaaaaaa",
		NULL
	};
	const char *const none[] = { "HTTP_X_REQUEST_ID=", NULL };
	const char *const *made[] = { bad, longer, none };
	struct http_request *req = read_env(good, OK);
	struct uuid id;

	cr_expect_str_eq(req->id, "abc_DEF-123");
	request_free(req);
	for (size_t i = 0; i < 3; i++) {
		req = read_env(made[i], OK);
		cr_expect_eq(uuid_parse(req->id, &id), OK);
		request_free(req);
	}
}

Test(envp, scheme_and_host_come_from_the_edge)
{
	const char *const tls[] = { "REQUEST_SCHEME=https",
		"HTTP_HOST=example.org:8443", NULL };
	const char *const on[] = { "HTTPS=on", "HTTP_HOST=a\"b",
		"SERVER_NAME=srv", NULL };
	const char *const plain[] = { "HTTPS=", "REQUEST_SCHEME=gopher",
		"SERVER_NAME=", NULL };
	struct http_request *req = read_env(tls, OK);

	cr_expect_str_eq(req->scheme, "https");
	cr_expect_str_eq(req->host, "example.org:8443");
	request_free(req);
	req = read_env(on, OK);
	cr_expect_str_eq(req->scheme, "https");
	cr_expect_str_eq(req->host, "srv");
	request_free(req);
	req = read_env(plain, OK);
	cr_expect_str_eq(req->scheme, "http");
	cr_expect_str_eq(req->host, "localhost");
	request_free(req);
}
