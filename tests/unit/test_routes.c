/*
 * test_routes.c - the table, and how paths find their row.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "api/routes.h"

static struct http_request *
request_for(enum http_method method, const char *path)
{
	struct http_request *req = request_new();

	cr_assert_not_null(req);
	req->method = method;
	req->path = path;
	return req;
}

static enum err
match(struct http_request *req, const struct route **route)
{
	const char *allow = NULL;

	*route = NULL;
	return routes_match(req, route, &allow);
}

Test(routes, every_row_states_role_family_method_and_handler)
{
	for (size_t i = 0; i < routes_len; i++) {
		const struct route *row = &routes[i];

		cr_expect(row->role > ROLE_UNSET && row->role < ROLE_COUNT,
		    "%s", row->path);
		cr_expect(row->family > 0, "%s", row->path);
		cr_expect(row->method > HTTP_OTHER && row->method != HTTP_HEAD,
		    "%s", row->path);
		cr_expect(row->handler != NULL, "%s", row->path);
	}
}

Test(routes, no_method_and_path_stands_twice)
{
	for (size_t i = 0; i < routes_len; i++) {
		for (size_t j = i + 1; j < routes_len; j++)
			cr_expect(routes[i].method != routes[j].method ||
				      strcmp(routes[i].path, routes[j].path) !=
					  0,
			    "%s", routes[i].path);
	}
}

Test(routes, no_path_ends_with_a_slash)
{
	for (size_t i = 0; i < routes_len; i++) {
		size_t len = strlen(routes[i].path);

		cr_expect(len == 1 || routes[i].path[len - 1] != '/', "%s",
		    routes[i].path);
	}
}

Test(routes, rows_that_take_no_body_are_reads_or_deletes)
{
	for (size_t i = 0; i < routes_len; i++) {
		if (routes[i].body_max != 0)
			continue;
		cr_expect(routes[i].method == HTTP_GET ||
			      routes[i].method == HTTP_DELETE ||
			      routes[i].method == HTTP_POST,
		    "%s", routes[i].path);
	}
}

Test(routes, every_row_matches_its_own_path_and_gives_its_parameters)
{
	for (size_t i = 0; i < routes_len; i++) {
		struct http_request *req =
		    request_for(routes[i].method, routes[i].path);
		const struct route *found;

		cr_expect_eq(match(req, &found), OK, "%s", routes[i].path);
		cr_expect_eq(found, &routes[i], "%s", routes[i].path);
		for (size_t p = 0; p < req->param_count; p++)
			cr_expect_eq(req->params[p].value[0], ':');
		request_free(req);
	}
}

Test(routes, a_parameter_is_found_by_name)
{
	struct http_request *req = request_for(HTTP_GET, "/v1/calls/abc");
	const struct route *found;

	cr_assert_eq(match(req, &found), OK);
	cr_expect_str_eq(request_param(req, "id"), "abc");
	cr_expect_str_eq(request_param(req, "other"), "");
	request_free(req);
}

Test(routes, an_unknown_path_is_missing)
{
	static const char *const paths[] = { "/nothing", "/v1", "/v1/calls/a/b",
		"/healthz", "/health/x" };

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct http_request *req = request_for(HTTP_GET, paths[i]);
		const struct route *found;

		cr_expect_eq(match(req, &found), ERR_MISSING, "%s", paths[i]);
		request_free(req);
	}
}

Test(routes, a_known_path_with_another_method_names_what_it_takes)
{
	struct http_request *req = request_for(HTTP_DELETE, "/health");
	const struct route *found = NULL;
	const char *allow = NULL;

	cr_assert_eq(routes_match(req, &found, &allow), ERR_METHOD);
	cr_expect_str_eq(allow, "GET, HEAD, OPTIONS");
	request_free(req);
}

Test(routes, the_table_prints_as_text_and_as_json)
{
	struct buf out;

	buf_init(&out, (size_t)256 * 1024);
	routes_print(&out, false);
	cr_expect(strstr(buf_str(&out), "/v1/chat/completions") != NULL);
	buf_reset(&out);
	routes_print(&out, true);
	cr_expect(strstr(buf_str(&out), "\"path\":\"/health\"") != NULL);
	buf_fini(&out);
}
