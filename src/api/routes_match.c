/*
 * routes_match.c - from a path to its row in the table.
 */
#include "api/routes.h"

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "json/write.h"

#define ALLOW_MAX 128

static const char *const method_names[HTTP_METHOD_COUNT] = {
	[HTTP_OTHER] = "",
	[HTTP_GET] = "GET",
	[HTTP_HEAD] = "HEAD",
	[HTTP_POST] = "POST",
	[HTTP_PUT] = "PUT",
	[HTTP_PATCH] = "PATCH",
	[HTTP_DELETE] = "DELETE",
	[HTTP_OPTIONS] = "OPTIONS",
};

static const char *const role_names[ROLE_COUNT] = {
	[ROLE_UNSET] = "unset",
	[ROLE_PUBLIC] = "public",
	[ROLE_USER] = "user",
	[ROLE_LOGIN] = "login",
	[ROLE_KEY] = "key",
	[ROLE_ADMIN] = "admin",
};

static const char *const family_names[] = {
	[0] = "unset",
	[FAMILY_SERVICE] = "service",
	[FAMILY_ACCOUNTS] = "accounts",
	[FAMILY_PLAYGROUND] = "playground",
	[FAMILY_MINI_CHAT] = "mini chat",
	[FAMILY_LOGGER] = "logger",
	[FAMILY_CHATS] = "chats",
	[FAMILY_PROMPT_LOG] = "prompt log",
	[FAMILY_GATEWAY] = "gateway",
};

const char *
role_name(enum role role)
{
	return role_names[role];
}

const char *
family_name(enum family family)
{
	return family_names[family];
}

/*
 * How well pattern fits path: 0 not at all, otherwise larger is better.  A
 * literal segment counts more than a parameter, an earlier one more than all
 * later ones together.
 */
static unsigned
fit(const char *pattern, const char *path)
{
	unsigned score = 1;

	while (*pattern == '/' && *path == '/') {
		size_t want = strcspn(pattern + 1, "/");
		size_t have = strcspn(path + 1, "/");
		bool parameter = pattern[1] == ':';

		if (have == 0 && want != 0)
			return 0;
		if (!parameter &&
		    (want != have || memcmp(pattern + 1, path + 1, want) != 0))
			return 0;
		score = score * 2 + (parameter ? 0 : 1);
		pattern += 1 + want;
		path += 1 + have;
	}
	return *pattern == '\0' && *path == '\0' ? score : 0;
}

static enum err
take_params(struct http_request *req, const char *pattern)
{
	const char *path = req->path;

	req->param_count = 0;
	while (*pattern == '/' && *path == '/') {
		size_t want = strcspn(pattern + 1, "/");
		size_t have = strcspn(path + 1, "/");

		if (pattern[1] == ':' &&
		    req->param_count < HTTP_PATH_PARAMS_MAX) {
			struct http_param *param =
			    &req->params[req->param_count++];

			param->name =
			    arena_strndup(req->arena, pattern + 2, want - 1);
			param->value =
			    arena_strndup(req->arena, path + 1, have);
			if (param->name == NULL || param->value == NULL)
				return ERR_MEMORY;
		}
		pattern += 1 + want;
		path += 1 + have;
	}
	return OK;
}

static const char *
best_pattern(const char *path)
{
	const char *best = NULL;
	unsigned best_score = 0;

	for (size_t i = 0; i < routes_len; i++) {
		unsigned score = fit(routes[i].path, path);

		if (score > best_score) {
			best_score = score;
			best = routes[i].path;
		}
	}
	return best;
}

static const char *
allow_of(struct arena *arena, const char *pattern)
{
	struct buf allow;
	const char *text;

	buf_init(&allow, ALLOW_MAX);
	for (size_t i = 0; i < routes_len; i++) {
		if (strcmp(routes[i].path, pattern) != 0)
			continue;
		buf_adds(&allow, method_names[routes[i].method]);
		buf_adds(&allow, ", ");
		if (routes[i].method == HTTP_GET)
			buf_adds(&allow, "HEAD, ");
	}
	buf_adds(&allow, "OPTIONS");
	text = arena_strdup(arena, buf_str(&allow));
	buf_fini(&allow);
	return text;
}

enum err
routes_match(struct http_request *req, const struct route **out,
    const char **allow)
{
	const char *pattern = best_pattern(req->path);

	if (pattern == NULL)
		return ERR_MISSING;
	*out = NULL;
	for (size_t i = 0; i < routes_len; i++) {
		if (routes[i].method == req->method &&
		    strcmp(routes[i].path, pattern) == 0)
			*out = &routes[i];
	}
	if (*out != NULL)
		return take_params(req, pattern);
	*allow = allow_of(req->arena, pattern);
	return *allow == NULL ? ERR_MEMORY : ERR_METHOD;
}

static void
print_text(struct buf *out)
{
	for (size_t i = 0; i < routes_len; i++)
		buf_addf(out, "%-7s %-36s %-7s %s\n",
		    method_names[routes[i].method], routes[i].path,
		    role_name(routes[i].role), family_name(routes[i].family));
}

static void
print_json(struct buf *out)
{
	struct jsonw w;

	jsonw_init(&w, out);
	jsonw_array(&w);
	for (size_t i = 0; i < routes_len; i++) {
		const struct route *route = &routes[i];

		jsonw_object(&w);
		jsonw_kv(&w, "method", method_names[route->method]);
		jsonw_kv(&w, "path", route->path);
		jsonw_kv(&w, "role", role_name(route->role));
		jsonw_kv(&w, "family", family_name(route->family));
		jsonw_kv_bool(&w, "streams",
		    (route->flags & ROUTE_STREAMS) != 0);
		jsonw_end_object(&w);
	}
	jsonw_end_array(&w);
	buf_addc(out, '\n');
}

void
routes_print(struct buf *out, bool json)
{
	if (json)
		print_json(out);
	else
		print_text(out);
}
