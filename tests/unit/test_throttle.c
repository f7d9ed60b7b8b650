/*
 * test_throttle.c - how often a password may be guessed, and accounts be made.
 */
#include "api/throttle.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/app.h"
#include "api/scoreboard.h"
#include "base/log.h"
#include "http/memory.h"

#define MOST 3

static struct config config = { .login_failures = MOST,
	.login_window_ms = 60000,
	.registrations_max = MOST };
static struct app app = { .config = &config };
static struct memory_answer answer;

static void
setup(void)
{
	log_setup(LOG_ERROR, "test");
	app.limits = limits_map(1000);
	app.logins = limits_map(1000);
	cr_assert_not_null(app.limits);
	cr_assert_not_null(app.logins);
}

static void
teardown(void)
{
	limits_unmap(app.logins);
	limits_unmap(app.limits);
}

TestSuite(throttle, .init = setup, .fini = teardown);

enum outcome { PASSES, FAILS, BREAKS, RUNS };

/* The status of a try from address: 0 when it was let through. */
static int
try_once(const char *account, const char *address, enum outcome outcome)
{
	char remote[64];
	const char *const envp[] = { "REQUEST_METHOD=POST", "REQUEST_URI=/x",
		remote, NULL };
	struct http_request *req = NULL;
	struct throttle one;
	int status = 0;

	memcpy(remote, "REMOTE_ADDR=", 12);
	memcpy(remote + 12, address, strlen(address) + 1);
	cr_assert_eq(memory_request(envp, NULL, 0, &answer, &req), OK);
	req->app = &app;
	if (throttle_or_reply(req, account, &one) != OK)
		status = req->status;
	else if (outcome == PASSES)
		throttle_passed(req, &one);
	else if (outcome == FAILS)
		throttle_failed(req, &one);
	else if (outcome == BREAKS)
		throttle_undo(req, &one);
	req->status = 200;
	request_finish(req);
	memory_answer_fini(&answer);
	return status;
}

static void
fail(const char *account, const char *address, int times)
{
	for (int i = 0; i < times; i++)
		cr_assert_eq(try_once(account, address, FAILS), 0);
}

Test(throttle, so_many_failures_of_an_account_from_an_address)
{
	fail("anna", "192.0.2.1", MOST);
	cr_expect_eq(try_once("anna", "192.0.2.1", PASSES), 429);
	cr_expect_eq(try_once("ANNA", "192.0.2.1", PASSES), 429);
	cr_expect_eq(try_once("anna", "192.0.2.2", PASSES), 0);
	cr_expect_eq(try_once("bert", "192.0.2.1", PASSES), 0);
}

Test(throttle, tries_at_the_same_time_count)
{
	for (int i = 0; i < MOST; i++)
		cr_expect_eq(try_once("anna", "192.0.2.1", RUNS), 0);
	cr_expect_eq(try_once("anna", "192.0.2.1", RUNS), 429);
}

Test(throttle, a_right_password_starts_anew)
{
	for (int i = 0; i < 10; i++) {
		fail("anna", "192.0.2.1", MOST - 1);
		cr_expect_eq(try_once("anna", "192.0.2.1", PASSES), 0);
	}
}

Test(throttle, what_was_not_looked_at_does_not_count)
{
	for (int i = 0; i < 20 * MOST; i++)
		cr_expect_eq(try_once("anna", "192.0.2.1", BREAKS), 0);
}

Test(throttle, an_address_has_ten_times_as_many)
{
	char name[] = "name-A";

	for (int i = 0; i < 10; i++) {
		name[5] = (char)('A' + i);
		fail(name, "192.0.2.1", MOST);
	}
	cr_expect_eq(try_once("another", "192.0.2.1", PASSES), 429);
	cr_expect_eq(try_once("another", "192.0.2.2", PASSES), 0);
}

Test(throttle, an_account_has_ten_times_as_many)
{
	char address[] = "192.0.2.0";

	for (int i = 0; i < 10; i++) {
		address[8] = (char)('0' + i);
		fail("anna", address, MOST);
	}
	cr_expect_eq(try_once("anna", "198.51.100.1", PASSES), 429);
	cr_expect_eq(try_once("bert", "198.51.100.1", PASSES), 0);
}

Test(throttle, a_network_of_ipv6_is_one_address)
{
	fail("anna", "2001:db8:1:2::1", MOST);
	cr_expect_eq(try_once("anna", "2001:db8:1:2:ffff::9", PASSES), 429);
	cr_expect_eq(try_once("anna", "2001:db8:1:3::1", PASSES), 0);
}

Test(throttle, an_ipv4_address_is_the_same_where_ipv6_maps_it)
{
	fail("anna", "::ffff:192.0.2.1", MOST);
	cr_expect_eq(try_once("anna", "::ffff:192.0.2.2", PASSES), 0);
	cr_expect_eq(try_once("anna", "::ffff:192.0.2.1", PASSES), 429);
	cr_expect_eq(try_once("anna", "::FFFF:c000:201", PASSES), 429);
	cr_expect_eq(try_once("anna", "192.0.2.1", PASSES), 429);
}

Test(throttle, a_changed_window_begins_anew)
{
	fail("anna", "192.0.2.1", MOST);
	config.login_window_ms = 1000;
	fail("anna", "192.0.2.1", MOST);
	cr_expect_eq(try_once("anna", "192.0.2.1", PASSES), 429);
	usleep(1100000);
	cr_expect_eq(try_once("anna", "192.0.2.1", PASSES), 0);
}

/* How many of so many names that nobody has can be tried, each from another
 * network. */
static int
try_names(int count)
{
	char address[64];
	char name[32];
	int passed = 0;

	for (int i = 0; i < count; i++) {
		(void)snprintf(name, sizeof(name), "nobody-%d", i);
		(void)snprintf(address, sizeof(address), "2001:db8:%x:%x::1",
		    (unsigned)i >> 16, (unsigned)i & 0xffff);
		passed += try_once(name, address, FAILS) == 0;
	}
	return passed;
}

Test(throttle, strangers_take_no_place_from_the_limits_of_users)
{
	char name[32];
	int counted = 0;

	cr_expect_lt(try_names(2000), 2000, "there are no more places");
	for (int i = 0; i < 500; i++) {
		(void)snprintf(name, sizeof(name), "requests:%d", i);
		counted +=
		    limit_take(app.limits, name, 1, 1, 60000, NULL) == OK;
	}
	cr_expect_eq(counted, 500);
}

Test(throttle, a_board_has_room_for_twenty_thousand_wrong_passwords)
{
	struct scoreboard *board = scoreboard_map(NULL, 1);

	cr_assert_not_null(board);
	limits_unmap(app.logins);
	app.logins = board->logins;
	cr_expect_eq(try_names(20000), 20000);
	app.logins = NULL;
	scoreboard_unmap(board);
}

enum registration { MADE, BROKEN };

/* The status of a registration from address: 0 when it was let through. */
static int
register_once(const char *address, enum registration how)
{
	char remote[64];
	const char *const envp[] = { "REQUEST_METHOD=POST", "REQUEST_URI=/x",
		remote, NULL };
	struct http_request *req = NULL;
	struct limit_state taken;
	int status = 0;

	memcpy(remote, "REMOTE_ADDR=", 12);
	memcpy(remote + 12, address, strlen(address) + 1);
	cr_assert_eq(memory_request(envp, NULL, 0, &answer, &req), OK);
	req->app = &app;
	if (throttle_register_or_reply(req, &taken) != OK)
		status = req->status;
	else if (how == BROKEN)
		throttle_register_undo(req, &taken);
	req->status = 200;
	request_finish(req);
	if (status != 0)
		cr_expect_not_null(strstr(buf_str(&answer.bytes),
		    "Retry-After: "));
	memory_answer_fini(&answer);
	return status;
}

Test(throttle, so_many_accounts_are_made_from_an_address)
{
	for (int i = 0; i < MOST; i++)
		cr_expect_eq(register_once("192.0.2.1", MADE), 0);
	cr_expect_eq(register_once("192.0.2.1", MADE), 429);
	cr_expect_eq(register_once("192.0.2.2", MADE), 0);
}

Test(throttle, a_network_of_ipv6_makes_accounts_as_one_address)
{
	for (int i = 0; i < MOST; i++)
		cr_expect_eq(register_once("2001:db8:1:2::1", MADE), 0);
	cr_expect_eq(register_once("2001:db8:1:2:ffff::9", MADE), 429);
	cr_expect_eq(register_once("2001:db8:1:3::1", MADE), 0);
}

Test(throttle, a_registration_that_broke_does_not_count)
{
	for (int i = 0; i < 3 * MOST; i++)
		cr_expect_eq(register_once("192.0.2.1", BROKEN), 0);
}

Test(throttle, a_changed_window_of_registrations_begins_anew)
{
	for (int i = 0; i < MOST; i++)
		cr_expect_eq(register_once("192.0.2.1", MADE), 0);
	config.login_window_ms = 1000;
	for (int i = 0; i < MOST; i++)
		cr_expect_eq(register_once("192.0.2.1", MADE), 0);
	cr_expect_eq(register_once("192.0.2.1", MADE), 429);
}

Test(throttle, registrations_and_logins_are_counted_apart)
{
	for (int i = 0; i < MOST; i++)
		cr_expect_eq(register_once("192.0.2.1", MADE), 0);
	cr_expect_eq(try_once("anna", "192.0.2.1", PASSES), 0);
}
