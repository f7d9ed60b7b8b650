/*
 * config_shape.c - what a text setting must look like.
 */
#include "config/config_shape.h"

#include <string.h>

/* ":port" or nothing, in len bytes. */
static bool
is_port(const char *at, size_t len)
{
	int port = 0;

	if (len == 0)
		return true;
	if (len < 2 || len > 6 || at[0] != ':')
		return false;
	for (size_t i = 1; i < len; i++) {
		if (at[i] < '0' || at[i] > '9')
			return false;
		port = port * 10 + (at[i] - '0');
	}
	return port >= 1 && port <= 65535;
}

/* host[:port]; an IPv6 address is in brackets. */
static bool
is_host(const char *at, size_t len)
{
	static const char hex[] = "0123456789abcdefABCDEF:.";
	static const char name[] = "abcdefghijklmnopqrstuvwxyz"
				   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
	size_t host;

	if (len == 0)
		return false;
	if (at[0] != '[') {
		host = strspn(at, name);
		host = host < len ? host : len;
		return host > 0 && is_port(at + host, len - host);
	}
	host = 1 + strspn(at + 1, hex);
	if (host < 3 || host >= len || at[host] != ']')
		return false;
	return is_port(at + host + 1, len - host - 1);
}

/* Bytes of "http://" or "https://", 0 if it begins with neither. */
static size_t
scheme_length(const char *at)
{
	if (strncmp(at, "https://", 8) == 0)
		return 8;
	return strncmp(at, "http://", 7) == 0 ? 7 : 0;
}

static bool
is_url(const char *at, size_t len)
{
	size_t scheme = scheme_length(at);
	size_t host;

	if (scheme == 0 || scheme > len)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (at[i] <= ' ' || at[i] > '~' || at[i] == '?' || at[i] == '#')
			return false;
	}
	host = strcspn(at + scheme, "/");
	return is_host(at + scheme, host);
}

static bool
is_origin(const char *at, size_t len)
{
	size_t scheme = scheme_length(at);

	return scheme > 0 && scheme < len && is_host(at + scheme, len - scheme);
}

static bool
is_word(const char *at, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (at[i] == ' ')
			return false;
	}
	return len > 0;
}

static bool
is_conninfo(const char *at, size_t len)
{
	(void)len; /* to the end of the text */
	return strncmp(at, "postgresql://", 13) == 0 ||
	       strncmp(at, "postgres://", 11) == 0 || strchr(at, '=') != NULL;
}

static const struct {
	bool (*valid)(const char *at, size_t len); /* NULL: anything */
	bool list;
	const char *expected;
} shapes[CONFIG_KIND_COUNT] = {
	[CONFIG_CONNINFO] = { is_conninfo, false,
	    "postgresql://user@host/database or keyword=value pairs" },
	[CONFIG_URL] = { is_url, false,
	    "http(s)://host[:port][/path], no user, no query" },
	[CONFIG_ORIGINS] = { is_origin, true,
	    "http(s)://host[:port], separated by commas" },
	[CONFIG_HOSTS] = { is_host, true, "host[:port], separated by commas" },
	[CONFIG_LIST] = { is_word, true, "words, separated by commas" },
};

/* Length of the member at at; *next is where the one after it begins, NULL
 * when it was the last. */
static size_t
member_length(const char **at, const char **next)
{
	const char *end;

	*at += strspn(*at, " ");
	end = strchrnul(*at, ',');
	*next = *end == ',' ? end + 1 : NULL;
	while (end > *at && end[-1] == ' ')
		end--;
	return (size_t)(end - *at);
}

/* Writes the list to out without blanks and empty members. */
static bool
tidy_list(enum config_kind kind, const char *text, char *out)
{
	const char *next;
	const char *at;
	size_t done = 0;
	size_t len;

	for (at = text; at != NULL; at = next) {
		len = member_length(&at, &next);
		if (len == 0)
			continue;
		if (!shapes[kind].valid(at, len))
			return false;
		if (done > 0)
			out[done++] = ',';
		memcpy(out + done, at, len);
		done += len;
	}
	out[done] = '\0';
	return true;
}

bool
config_shape_tidy(enum config_kind kind, const char *text, char *out)
{
	size_t len = strlen(text);

	if (shapes[kind].list)
		return tidy_list(kind, text, out);
	if (shapes[kind].valid != NULL && len > 0 &&
	    !shapes[kind].valid(text, len))
		return false;
	memcpy(out, text, len + 1);
	while (kind == CONFIG_URL && len > 0 && out[len - 1] == '/')
		out[--len] = '\0';
	return true;
}

const char *
config_shape_expected(enum config_kind kind)
{
	const char *expected = shapes[kind].expected;

	return expected == NULL ? "text" : expected;
}
