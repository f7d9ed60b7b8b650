/*
 * envp.c - a request from CGI variables: decoded once, checked, copied.
 *
 * The path is refused rather than repaired: what the edge and this program
 * could read differently ("//", dot segments, NUL) never reaches a route.
 */
#include "http/envp.h"

#include <ctype.h>
#include <string.h>

#include "base/codec.h"

#define TARGET_MAX  16384 /* bytes of path and query; nginx takes no more */
#define PAIRS_MAX   256   /* query parameters; no route has more than 20 */
#define HEADERS_MAX 128   /* nginx's buffers hold fewer useful ones */

/* The variables that are read, borrowed from envp; NULL when absent. */
struct vars {
	const char *content_type;
	const char *http_host;
	const char *https;
	const char *path_info;
	const char *query_string;
	const char *remote_addr;
	const char *request_method;
	const char *request_msec;
	const char *request_scheme;
	const char *request_uri;
	const char *script_name;
	const char *server_name;
	size_t header_count; /* of HTTP_ variables */
	size_t header_bytes; /* of their names and values with their NULs */
};

#define VAR(name, field)                                             \
	{                                                            \
		name, sizeof(name) - 1, offsetof(struct vars, field) \
	}

/* clang-format off */
static const struct {
	const char *name;
	size_t len;
	size_t offset;
} wanted[] = {
	/* In alphabetical order of name. */
	VAR("CONTENT_TYPE",   content_type),
	VAR("HTTPS",          https),
	VAR("HTTP_HOST",      http_host),
	VAR("PATH_INFO",      path_info),
	VAR("QUERY_STRING",   query_string),
	VAR("REMOTE_ADDR",    remote_addr),
	VAR("REQUEST_METHOD", request_method),
	VAR("REQUEST_MSEC",   request_msec),
	VAR("REQUEST_SCHEME", request_scheme),
	VAR("REQUEST_URI",    request_uri),
	VAR("SCRIPT_NAME",    script_name),
	VAR("SERVER_NAME",    server_name),
};

static const struct {
	const char *name;
	enum http_method method;
} methods[] = {
	{ "GET",     HTTP_GET },
	{ "HEAD",    HTTP_GET },
	{ "POST",    HTTP_POST },
	{ "PUT",     HTTP_PUT },
	{ "PATCH",   HTTP_PATCH },
	{ "DELETE",  HTTP_DELETE },
	{ "OPTIONS", HTTP_OPTIONS },
};
/* clang-format on */

#define LEN_OF(array) (sizeof(array) / sizeof((array)[0]))

const char *
envp_get(const char *const *envp, const char *name)
{
	size_t len = strlen(name);

	for (; *envp != NULL; envp++) {
		if (strncmp(*envp, name, len) == 0 && (*envp)[len] == '=')
			return *envp + len + 1;
	}
	return NULL;
}

static bool
is_header(const char *entry)
{
	return strncmp(entry, "HTTP_", 5) == 0 && entry[5] != '=';
}

static void
keep_var(struct vars *vars, const char *entry, size_t len)
{
	for (size_t i = 0; i < LEN_OF(wanted); i++) {
		const char **slot;

		if (wanted[i].len != len ||
		    memcmp(wanted[i].name, entry, len) != 0)
			continue;
		slot = (const char **)(void *)((char *)vars + wanted[i].offset);
		if (*slot == NULL)
			*slot = entry + len + 1;
		return;
	}
}

static void
scan(struct vars *vars, const char *const *envp)
{
	for (; *envp != NULL; envp++) {
		const char *equals = strchr(*envp, '=');

		if (equals == NULL)
			continue;
		keep_var(vars, *envp, (size_t)(equals - *envp));
		if (is_header(*envp) && vars->header_count < HEADERS_MAX) {
			vars->header_count++;
			vars->header_bytes += strlen(*envp) + 1;
		}
	}
}

static char
header_char(char byte)
{
	if (byte == '_')
		return '-';
	return (char)tolower((unsigned char)byte);
}

/* HTTP_X_API_KEY=v is header x-api-key with value v; returns what follows. */
static char *
copy_header(struct http_header *header, const char *entry, char *at)
{
	const char *equals = strchr(entry, '=');

	header->name = at;
	for (entry += 5; entry < equals; entry++)
		*at++ = header_char(*entry);
	*at++ = '\0';
	header->value = at;
	memcpy(at, equals + 1, strlen(equals + 1) + 1);
	return at + strlen(at) + 1;
}

static enum err
copy_headers(struct http_request *req, const struct vars *vars,
    const char *const *envp)
{
	size_t count = vars->header_count;
	char *at = arena_alloc(req->arena, vars->header_bytes);

	req->headers =
	    arena_alloc(req->arena, (count + 1) * sizeof(*req->headers));
	if (at == NULL || req->headers == NULL)
		return ERR_MEMORY;
	for (; req->header_count < count && *envp != NULL; envp++) {
		if (is_header(*envp) && strchr(*envp, '=') != NULL)
			at = copy_header(&req->headers[req->header_count++],
			    *envp, at);
	}
	if (vars->content_type != NULL && *vars->content_type != '\0')
		req->headers[req->header_count++] = (struct http_header){
			.name = "content-type",
			.value = arena_strdup(req->arena, vars->content_type),
		};
	return req->header_count > count && req->headers[count].value == NULL
		   ? ERR_MEMORY
		   : OK;
}

static void
set_method(struct http_request *req, const char *text)
{
	size_t len = strnlen(text, sizeof(req->method_text) - 1);

	memcpy(req->method_text, text, len);
	req->method_text[len] = '\0';
	for (size_t i = 0; i < LEN_OF(methods); i++) {
		if (strcmp(methods[i].name, text) == 0)
			req->method = methods[i].method;
	}
	req->head = strcmp(text, "HEAD") == 0;
}

/* text without its parameters, in lower case; NULL when memory is short. */
static const char *
media_type(struct http_request *req, const char *text)
{
	size_t len = strcspn(text, ";");
	char *copy;

	while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t'))
		len--;
	copy = arena_strndup(req->arena, text, len);
	for (char *at = copy; at != NULL && *at != '\0'; at++)
		*at = (char)tolower((unsigned char)*at);
	return copy;
}

/* Host goes into links: only what a host and a port can have. */
static bool
is_host(const char *text)
{
	return *text != '\0' &&
	       text[strspn(text,
		   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		   "0123456789.-_:[]")] == '\0';
}

/* "1700000000.123" in microseconds; 0 for anything else. */
static int64_t
read_msec(const char *text)
{
	int64_t value = 0;
	int after = -1; /* digits after the point */

	if (text == NULL)
		return 0;
	for (; *text != '\0'; text++) {
		if (*text == '.' && after < 0) {
			after = 0;
			continue;
		}
		if (*text < '0' || *text > '9' || value > INT64_MAX / 100000)
			return 0;
		value = value * 10 + (*text - '0');
		after += after >= 0;
	}
	return after == 3 ? value * 1000 : 0;
}

static enum err
set_edge(struct http_request *req, const struct vars *vars)
{
	const char *host = vars->http_host;

	if (host == NULL || !is_host(host))
		host = vars->server_name;
	if (host == NULL || !is_host(host))
		host = "localhost";
	req->arrived_us = read_msec(vars->request_msec);
	if ((vars->request_scheme != NULL &&
		strcmp(vars->request_scheme, "https") == 0) ||
	    (vars->https != NULL && strcmp(vars->https, "on") == 0))
		req->scheme = "https";
	req->host = arena_strdup(req->arena, host);
	if (vars->remote_addr != NULL)
		req->remote_addr = arena_strdup(req->arena, vars->remote_addr);
	if (vars->content_type != NULL)
		req->content_type = media_type(req, vars->content_type);
	return req->host == NULL || req->remote_addr == NULL ||
		       req->content_type == NULL
		   ? ERR_MEMORY
		   : OK;
}

static enum err
set_id(struct http_request *req)
{
	const char *given = request_header(req, "x-request-id");
	struct uuid fresh;
	size_t len = given == NULL ? 0 : strlen(given);

	if (len > 0 && len < sizeof(req->id) &&
	    strspn(given, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			  "0123456789_-") == len) {
		memcpy(req->id, given, len + 1);
		return OK;
	}
	if (uuid_make(&fresh) != OK)
		return ERR_SYSTEM;
	uuid_text(&fresh, req->id);
	return OK;
}

/* No empty or dot segment, no control character. */
static bool
is_plain_path(const char *path)
{
	const char *segment = path + 1;

	if (*path != '/')
		return false;
	for (const char *at = path; *at != '\0'; at++) {
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			return false;
	}
	for (;;) {
		size_t len = strcspn(segment, "/");

		if ((len == 0 && segment[len] == '/') ||
		    (len == 1 && segment[0] == '.') ||
		    (len == 2 && memcmp(segment, "..", 2) == 0))
			return false;
		if (segment[len] == '\0')
			return true;
		segment += len + 1;
	}
}

/* What stands for a path that cannot be read: the answer's shape depends on
 * its beginning. */
static const char *
family_of(const char *raw)
{
	if (strncmp(raw, "/v1/messages", 12) == 0)
		return "/v1/messages";
	return strncmp(raw, "/v1/", 4) == 0 ? "/v1" : "/";
}

static enum err
set_path(struct http_request *req, const char *raw, size_t len, bool encoded)
{
	char *path;

	req->broken_path = family_of(raw);
	if (len > TARGET_MAX)
		return request_fail(req, ERR_INPUT, "path too long");
	path = arena_strndup(req->arena, raw, len);
	if (path == NULL)
		return ERR_MEMORY;
	if (encoded && codec_percent_decode(raw, len, false, path) != OK)
		return request_fail(req, ERR_INPUT, "path escapes");
	if (codec_utf8_valid(path, strlen(path)) != strlen(path) ||
	    !is_plain_path(path))
		return request_fail(req, ERR_INPUT, "path segments");
	len = strlen(path);
	if (len > 1 && path[len - 1] == '/')
		path[len - 1] = '\0';
	req->path = path;
	return OK;
}

static enum err
decode_form(struct http_request *req, const char *text, size_t len,
    const char **out)
{
	char *decoded = arena_alloc(req->arena, len + 1);

	if (decoded == NULL)
		return ERR_MEMORY;
	*out = decoded;
	if (codec_percent_decode(text, len, true, decoded) != OK)
		return request_fail(req, ERR_INPUT, "query escapes");
	return OK;
}

static enum err
add_pair(struct http_request *req, const char *text, size_t len)
{
	const char *equals = memchr(text, '=', len);
	size_t name_len = equals == NULL ? len : (size_t)(equals - text);
	struct http_param pair = { .value = "" };
	enum err err;

	err = decode_form(req, text, name_len, &pair.name);
	if (err == OK && equals != NULL)
		err = decode_form(req, equals + 1, len - name_len - 1,
		    &pair.value);
	if (err == OK)
		req->query[req->query_count++] = pair;
	return err;
}

static size_t
count_pairs(const char *text)
{
	size_t count = 1;

	for (; *text != '\0'; text++)
		count += *text == '&';
	return count;
}

static enum err
set_query(struct http_request *req, const char *text)
{
	size_t pairs = count_pairs(text);
	enum err err = OK;

	if (*text == '\0')
		return OK;
	if (strlen(text) > TARGET_MAX || pairs > PAIRS_MAX)
		return request_fail(req, ERR_INPUT, "query too long");
	req->query_text = arena_strdup(req->arena, text);
	req->query = arena_alloc(req->arena, pairs * sizeof(*req->query));
	if (req->query_text == NULL || req->query == NULL) {
		req->query_text = "";
		return ERR_MEMORY;
	}
	while (*text != '\0' && err == OK) {
		size_t len = strcspn(text, "&");

		if (len > 0)
			err = add_pair(req, text, len);
		text += len + (text[len] == '&');
	}
	return err;
}

/* The part of REQUEST_URI that is this program's: a web server that runs it as
 * /cgi-bin/minuted says so in SCRIPT_NAME and has the rest in PATH_INFO. */
static const char *
own_uri(const struct vars *vars)
{
	size_t len;

	if (vars->script_name == NULL || vars->path_info == NULL ||
	    *vars->path_info == '\0')
		return vars->request_uri;
	len = strlen(vars->script_name);
	if (strncmp(vars->request_uri, vars->script_name, len) != 0 ||
	    vars->request_uri[len] != '/')
		return vars->request_uri;
	return vars->request_uri + len;
}

static enum err
set_target(struct http_request *req, const struct vars *vars)
{
	const char *query = vars->query_string;
	const char *uri;
	enum err err;
	size_t len;

	if (vars->request_uri == NULL || *vars->request_uri == '\0') {
		uri = vars->path_info == NULL || *vars->path_info == '\0'
			  ? "/"
			  : vars->path_info;
		err = set_path(req, uri, strlen(uri), false);
	} else {
		uri = own_uri(vars);
		len = strcspn(uri, "?");
		query = uri[len] == '?' ? uri + len + 1 : NULL;
		err = set_path(req, uri, len, true);
	}
	if (err == OK && query != NULL)
		err = set_query(req, query);
	if (err != OK)
		req->path = NULL;
	return err;
}

enum err
envp_read(struct http_request *req, const char *const *envp)
{
	struct vars vars = { 0 };
	enum err err;

	scan(&vars, envp);
	err = copy_headers(req, &vars, envp);
	if (err != OK)
		return err;
	set_method(req, vars.request_method == NULL ? "" : vars.request_method);
	err = set_edge(req, &vars);
	if (err != OK)
		return err;
	err = set_id(req);
	if (err != OK)
		return err;
	return set_target(req, &vars);
}
