/*
 * criterion.h - stands in for Criterion where it cannot run: its memory for
 * children lies at an address that the thread sanitizer does not allow.
 *
 * The same tests, each in a child process, one after the other; messages of
 * assertions are not shown.  With an argument only the tests whose
 * "suite::name" contains it are run.
 */
#ifndef PLAIN_CRITERION_H
#define PLAIN_CRITERION_H

#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct plain_options {
	void (*init)(void);
	void (*fini)(void);
	double timeout;
	int signal;
	int exit_code;
	bool disabled;
	const char *description;
};

struct plain_test {
	struct plain_test *next;
	const char *suite, *name;
	void (*run)(void);
	struct plain_options options;
	bool is_suite;
};

#define PLAIN_SKIPPED 77

static struct plain_test *plain_tests;
static int plain_failures;

static inline void
plain_check(bool good, bool fatal, const char *what, int line)
{
	if (good)
		return;
	(void)fprintf(stderr, "line %d: %s\n", line, what);
	plain_failures++;
	if (fatal)
		_exit(1);
}

#define PLAIN_REGISTER(Suite, Name, Run, IsSuite, ...)                       \
	static struct plain_test Suite##_##Name##_plain = { .suite = #Suite, \
		.name = #Name,                                               \
		.run = Run,                                                  \
		.options = { __VA_ARGS__ },                                  \
		.is_suite = IsSuite };                                       \
	__attribute__((constructor)) static void Suite##_##Name##_add(void)  \
	{                                                                    \
		Suite##_##Name##_plain.next = plain_tests;                   \
		plain_tests = &Suite##_##Name##_plain;                       \
	}

#define Test(Suite, Name, ...)                                    \
	static void Suite##_##Name##_impl(void);                  \
	PLAIN_REGISTER(Suite, Name, Suite##_##Name##_impl, false, \
	    .timeout = 0 __VA_OPT__(, ) __VA_ARGS__)              \
	static void Suite##_##Name##_impl(void)

#define TestSuite(Suite, ...)                                       \
	PLAIN_REGISTER(Suite, plain_suite, NULL, true, __VA_ARGS__) \
	struct plain_swallow_semicolon

#define PLAIN(fatal, cond)             plain_check((cond), fatal, #cond, __LINE__)
#define cr_assert(cond, ...)           PLAIN(true, cond)
#define cr_assert_not(cond, ...)       PLAIN(true, !(cond))
#define cr_assert_eq(a, b, ...)        PLAIN(true, (a) == (b))
#define cr_assert_neq(a, b, ...)       PLAIN(true, (a) != (b))
#define cr_assert_lt(a, b, ...)        PLAIN(true, (a) < (b))
#define cr_assert_leq(a, b, ...)       PLAIN(true, (a) <= (b))
#define cr_assert_gt(a, b, ...)        PLAIN(true, (a) > (b))
#define cr_assert_geq(a, b, ...)       PLAIN(true, (a) >= (b))
#define cr_assert_null(a, ...)         PLAIN(true, (a) == NULL)
#define cr_assert_not_null(a, ...)     PLAIN(true, (a) != NULL)
#define cr_assert_str_eq(a, b, ...)    PLAIN(true, strcmp(a, b) == 0)
#define cr_assert_arr_eq(a, b, n, ...) PLAIN(true, memcmp(a, b, n) == 0)
#define cr_assert_fail(...)            PLAIN(true, false)
#define cr_expect(cond, ...)           PLAIN(false, cond)
#define cr_expect_not(cond, ...)       PLAIN(false, !(cond))
#define cr_expect_eq(a, b, ...)        PLAIN(false, (a) == (b))
#define cr_expect_neq(a, b, ...)       PLAIN(false, (a) != (b))
#define cr_expect_lt(a, b, ...)        PLAIN(false, (a) < (b))
#define cr_expect_leq(a, b, ...)       PLAIN(false, (a) <= (b))
#define cr_expect_gt(a, b, ...)        PLAIN(false, (a) > (b))
#define cr_expect_geq(a, b, ...)       PLAIN(false, (a) >= (b))
#define cr_expect_null(a, ...)         PLAIN(false, (a) == NULL)
#define cr_expect_not_null(a, ...)     PLAIN(false, (a) != NULL)
#define cr_expect_str_eq(a, b, ...)    PLAIN(false, strcmp(a, b) == 0)
#define cr_expect_str_neq(a, b, ...)   PLAIN(false, strcmp(a, b) != 0)
#define cr_expect_str_empty(a, ...)    PLAIN(false, *(a) == '\0')
#define cr_expect_arr_eq(a, b, n, ...) PLAIN(false, memcmp(a, b, n) == 0)
#define cr_expect_fail(...)            PLAIN(false, false)
#define cr_skip_test(...)              _exit(PLAIN_SKIPPED)
#define cr_skip(...)                   _exit(PLAIN_SKIPPED)

static inline const struct plain_options *
plain_suite_of(const struct plain_test *test)
{
	static const struct plain_options none;

	for (struct plain_test *t = plain_tests; t != NULL; t = t->next)
		if (t->is_suite && strcmp(t->suite, test->suite) == 0)
			return &t->options;
	return &none;
}

static inline void
plain_child(const struct plain_test *test)
{
	const struct plain_options *suite = plain_suite_of(test);
	void (*init)(void) =
	    test->options.init != NULL ? test->options.init : suite->init;
	void (*fini)(void) =
	    test->options.fini != NULL ? test->options.fini : suite->fini;

	if (init != NULL)
		init();
	test->run();
	if (fini != NULL)
		fini();
	exit(plain_failures == 0 ? 0 : 1);
}

static inline bool
plain_as_wanted(const struct plain_test *test, int status)
{
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == test->options.signal;
	return WEXITSTATUS(status) == PLAIN_SKIPPED ||
	       (test->options.signal == 0 &&
		   WEXITSTATUS(status) == test->options.exit_code);
}

static inline bool
plain_run(const struct plain_test *test)
{
	int status = 0;
	bool good;
	pid_t pid;

	(void)fflush(NULL);
	pid = fork();
	if (pid == 0)
		plain_child(test);
	good = pid > 0 && waitpid(pid, &status, 0) == pid &&
	       plain_as_wanted(test, status);
	if (!good)
		(void)fprintf(stderr, "[FAIL] %s::%s\n", test->suite,
		    test->name);
	return good;
}

int
main(int argc, char **argv)
{
	int passing = 0, failing = 0;
	char name[256];

	for (struct plain_test *t = plain_tests; t != NULL; t = t->next) {
		(void)snprintf(name, sizeof(name), "%s::%s", t->suite, t->name);
		if (t->is_suite || t->options.disabled)
			continue;
		if (argc > 1 && strstr(name, argv[1]) == NULL)
			continue;
		if (plain_run(t))
			passing++;
		else
			failing++;
	}
	(void)fprintf(stderr, "[====] Tested: %d | Passing: %d | Failing: %d\n",
	    passing + failing, passing, failing);
	return failing == 0 ? 0 : 1;
}

#endif /* PLAIN_CRITERION_H */
