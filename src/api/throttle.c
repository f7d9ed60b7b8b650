/*
 * throttle.c - how often a password may be guessed, and accounts be made.
 *
 * Beside the windows of tries there are those of failures ("-" and the name):
 * they only say how long a client that is refused has to wait.
 */
#include "api/throttle.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#include "api/app.h"
#include "auth/secret.h"
#include "base/codec.h"
#include "http/problem.h"

#define MORE          10 /* of an address, and of an account */
#define LONGER        4
#define SUBJECT_CHARS 36 /* of a hash; as many as an id has */
#define ADDRESS_SIZE  17
#define NETWORK_BYTES 8  /* of an IPv6 address: what a client has at least */
#define MAPPED_AT     12 /* in an IPv6 address, where it is an IPv4 one */

enum counter { COUNT_PAIR, COUNT_ADDRESS, COUNT_ACCOUNT };

static int64_t
most(const struct http_request *req, enum counter counter)
{
	int64_t max = req->app->config->login_failures;

	return counter == COUNT_PAIR ? max : max * MORE;
}

static int64_t
window_ms(const struct http_request *req, enum counter counter)
{
	int64_t ms = req->app->config->login_window_ms;

	return counter == COUNT_ACCOUNT ? ms * LONGER : ms;
}

static void
address_of(const struct http_request *req, char out[ADDRESS_SIZE])
{
	struct in6_addr ip;
	size_t len = strnlen(req->remote_addr, ADDRESS_SIZE - 1);

	if (inet_pton(AF_INET6, req->remote_addr, &ip) == 1) {
		if (!IN6_IS_ADDR_V4MAPPED(&ip))
			codec_hex(ip.s6_addr, NETWORK_BYTES, out);
		else /* as it is where nothing maps it; it fits */
			(void)!inet_ntop(AF_INET, ip.s6_addr + MAPPED_AT, out,
			    ADDRESS_SIZE);
		return;
	}
	memcpy(out, req->remote_addr, len);
	out[len] = '\0';
}

/* Names are hashed as the tables compare them: in lower case. */
static void
subject_of(const char *account, char out[SECRET_HASH_SIZE])
{
	struct buf lower;

	buf_init(&lower, 4096);
	for (const char *c = account; *c != '\0'; c++) {
		char small = (char)tolower((unsigned char)*c);

		buf_add(&lower, &small, 1);
	}
	secret_hash(buf_str(&lower), out);
	out[SUBJECT_CHARS] = '\0';
	buf_fini(&lower);
}

static void
set_name(char out[LIMIT_NAME_MAX + 1], const char *kind, const char *first,
    const char *second, int64_t window_ms)
{
	struct buf buf;

	buf_init(&buf, LIMIT_NAME_MAX + 1);
	buf_addf(&buf, "%s:%s:%s:%lld", kind, first, second,
	    (long long)window_ms);
	memcpy(out, buf_str(&buf), buf.len + 1);
	buf_fini(&buf);
}

static void
name_counters(const struct http_request *req, const char *account,
    struct throttle *out)
{
	char address[ADDRESS_SIZE];
	char subject[SECRET_HASH_SIZE];

	address_of(req, address);
	subject_of(account, subject);
	set_name(out->names[COUNT_PAIR], "login", subject, address,
	    window_ms(req, COUNT_PAIR));
	set_name(out->names[COUNT_ADDRESS], "login", "", address,
	    window_ms(req, COUNT_ADDRESS));
	set_name(out->names[COUNT_ACCOUNT], "login", subject, "",
	    window_ms(req, COUNT_ACCOUNT));
}

static void
failures_name(const char *name, char out[LIMIT_NAME_MAX + 1])
{
	out[0] = '-';
	memcpy(out + 1, name, strlen(name) + 1);
}

/* Until when: of the failures, when they are enough; else other tries are
 * being looked at, which takes no time. */
static int
retry_after(struct http_request *req, const struct throttle *try,
    enum counter counter)
{
	char failures[LIMIT_NAME_MAX + 1];
	struct limit_state state;

	failures_name(try->names[counter], failures);
	if (limit_look(req->app->logins, failures, most(req, counter),
		window_ms(req, counter), &state) == ERR_LIMIT)
		return (int)state.reset_s;
	return 1;
}

/* limit: what is said when err is ERR_LIMIT. */
static enum err
refuse(struct http_request *req, const struct problem *limit, enum err err)
{
	if (err == ERR_LIMIT)
		(void)problem_send(req, limit);
	else
		(void)problem_of(req, err);
	return err;
}

static void
give(struct http_request *req, const struct throttle *try, size_t counter)
{
	limit_give(req->app->logins, try->names[counter], 1,
	    &try->taken[counter]);
}

enum err
throttle_or_reply(struct http_request *req, const char *account,
    struct throttle *out)
{
	enum err err = OK;

	memset(out, 0, sizeof(*out));
	name_counters(req, account, out);
	for (enum counter i = COUNT_PAIR; i < THROTTLE_COUNTERS; i++) {
		err = limit_take(req->app->logins, out->names[i], 1,
		    most(req, i), window_ms(req, i), &out->taken[i]);
		if (err == OK)
			continue;
		for (size_t given = 0; given < i; given++)
			give(req, out, given);
		return refuse(req,
		    &(struct problem){ .err = ERR_LIMIT,
			.code = "too_many_failures",
			.retry_after = retry_after(req, out, i),
			.detail = "too many wrong passwords: try again later" },
		    err);
	}
	return OK;
}

void
throttle_passed(struct http_request *req, const struct throttle *try)
{
	static const enum counter over[] = { COUNT_PAIR, COUNT_ACCOUNT };
	char failures[LIMIT_NAME_MAX + 1];

	give(req, try, COUNT_ADDRESS);
	for (size_t i = 0; i < sizeof(over) / sizeof(over[0]); i++) {
		limit_forget(req->app->logins, try->names[over[i]]);
		failures_name(try->names[over[i]], failures);
		limit_forget(req->app->logins, failures);
	}
}

void
throttle_failed(struct http_request *req, const struct throttle *try)
{
	char failures[LIMIT_NAME_MAX + 1];

	for (enum counter i = COUNT_PAIR; i < THROTTLE_COUNTERS; i++) {
		failures_name(try->names[i], failures);
		/* without a place, only Retry-After is too short */
		(void)!limit_add(req->app->logins, failures, 1,
		    window_ms(req, i));
	}
}

void
throttle_undo(struct http_request *req, const struct throttle *try)
{
	for (size_t i = 0; i < THROTTLE_COUNTERS; i++)
		give(req, try, i);
}

/* --- registrations ---------------------------------------------------- */

static void
register_name(const struct http_request *req, char out[LIMIT_NAME_MAX + 1])
{
	char address[ADDRESS_SIZE];

	address_of(req, address);
	set_name(out, "register", "", address,
	    req->app->config->login_window_ms);
}

enum err
throttle_register_or_reply(struct http_request *req, struct limit_state *out)
{
	const struct config *config = req->app->config;
	char name[LIMIT_NAME_MAX + 1];
	enum err err;

	register_name(req, name);
	err = limit_take(req->app->logins, name, 1, config->registrations_max,
	    config->login_window_ms, out);
	if (err == OK)
		return OK;
	return refuse(req,
	    &(struct problem){ .err = ERR_LIMIT,
		.code = "too_many_registrations",
		.retry_after = (int)out->reset_s,
		.detail = "too many accounts were made from this address: try "
			  "again later" },
	    err);
}

void
throttle_register_undo(struct http_request *req,
    const struct limit_state *taken)
{
	char name[LIMIT_NAME_MAX + 1];

	register_name(req, name);
	limit_give(req->app->logins, name, 1, taken);
}
