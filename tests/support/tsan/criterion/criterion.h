/*
 * criterion.h - as much of Criterion as the tests use, for the thread
 * sanitizer: Criterion itself maps memory where the sanitizer keeps its own.
 *
 * A test program is one file, so this holds its main(), too.  Every test runs
 * in a child process, one after the other; a report of the sanitizer is a
 * failure by its exit code.
 */
#ifndef CRITERION_H
#define CRITERION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct cr_extra {
	int unused; /* so that there is a first member to name */
	void (*init)(void);
	void (*fini)(void);
	double timeout;
	int signal;
	int exit_code;
	bool disabled;
	const char *description;
};

struct cr_test {
	const char *suite;
	const char *name; /* NULL: the suite's own settings */
	void (*run)(void);
	struct cr_extra extra;
	struct cr_test *next;
};

static struct cr_test *cr_tests;
static atomic_int cr_failures;

#define CR_ENTRY(id, suite_, name_, run_, ...)                               \
	static struct cr_test id = { .suite = suite_,                        \
		.name = name_,                                               \
		.run = run_,                                                 \
		.extra = { .unused = 0, __VA_ARGS__ } };                     \
	__attribute__((constructor)) static void id##_add(void)              \
	{                                                                    \
		id.next = cr_tests;                                          \
		cr_tests = &id;                                              \
	}                                                                    \
	struct cr_extra

#define TestSuite(suite, ...) \
	CR_ENTRY(cr_suite_##suite, #suite, NULL, NULL, __VA_ARGS__)

#define Test(suite, name, ...)                                               \
	static void cr_run_##suite##_##name(void);                           \
	CR_ENTRY(cr_##suite##_##name, #suite, #name, cr_run_##suite##_##name, \
	    __VA_ARGS__);                                                    \
	static void cr_run_##suite##_##name(void)

static inline bool
cr_check(bool ok, const char *file, int line, const char *what)
{
	if (!ok) {
		(void)fprintf(stderr, "%s:%d: %s is false\n", file, line, what);
		atomic_fetch_add(&cr_failures, 1);
	}
	return ok;
}

#define CR_EXPECT(ok, what, ...)                                  \
	((void)(false ? printf(" " __VA_ARGS__) : 0),             \
	    (void)cr_check(ok, __FILE__, __LINE__, what))
#define CR_ASSERT(ok, what, ...)                                  \
	((void)(false ? printf(" " __VA_ARGS__) : 0),             \
	    cr_check(ok, __FILE__, __LINE__, what) ? (void)0 : exit(1))

#define cr_expect(c, ...)           CR_EXPECT(!!(c), #c, __VA_ARGS__)
#define cr_expect_not(c, ...)       CR_EXPECT(!(c), "not " #c, __VA_ARGS__)
#define cr_expect_eq(a, b, ...)     CR_EXPECT((a) == (b), #a " == " #b, __VA_ARGS__)
#define cr_expect_neq(a, b, ...)    CR_EXPECT((a) != (b), #a " != " #b, __VA_ARGS__)
#define cr_expect_lt(a, b, ...)     CR_EXPECT((a) < (b), #a " < " #b, __VA_ARGS__)
#define cr_expect_leq(a, b, ...)    CR_EXPECT((a) <= (b), #a " <= " #b, __VA_ARGS__)
#define cr_expect_gt(a, b, ...)     CR_EXPECT((a) > (b), #a " > " #b, __VA_ARGS__)
#define cr_expect_geq(a, b, ...)    CR_EXPECT((a) >= (b), #a " >= " #b, __VA_ARGS__)
#define cr_expect_null(a, ...)      CR_EXPECT((a) == NULL, #a " is null", __VA_ARGS__)
#define cr_expect_not_null(a, ...)  CR_EXPECT((a) != NULL, #a " is not null", __VA_ARGS__)
#define cr_expect_str_eq(a, b, ...) CR_EXPECT(strcmp(a, b) == 0, #a " is " #b, __VA_ARGS__)
#define cr_expect_str_neq(a, b, ...) CR_EXPECT(strcmp(a, b) != 0, #a " is not " #b, __VA_ARGS__)
#define cr_expect_arr_eq(a, b, n, ...) CR_EXPECT(memcmp(a, b, n) == 0, #a " is " #b, __VA_ARGS__)
#define cr_assert(c, ...)           CR_ASSERT(!!(c), #c, __VA_ARGS__)
#define cr_assert_not(c, ...)       CR_ASSERT(!(c), "not " #c, __VA_ARGS__)
#define cr_assert_eq(a, b, ...)     CR_ASSERT((a) == (b), #a " == " #b, __VA_ARGS__)
#define cr_assert_neq(a, b, ...)    CR_ASSERT((a) != (b), #a " != " #b, __VA_ARGS__)
#define cr_assert_lt(a, b, ...)     CR_ASSERT((a) < (b), #a " < " #b, __VA_ARGS__)
#define cr_assert_leq(a, b, ...)    CR_ASSERT((a) <= (b), #a " <= " #b, __VA_ARGS__)
#define cr_assert_gt(a, b, ...)     CR_ASSERT((a) > (b), #a " > " #b, __VA_ARGS__)
#define cr_assert_geq(a, b, ...)    CR_ASSERT((a) >= (b), #a " >= " #b, __VA_ARGS__)
#define cr_assert_null(a, ...)      CR_ASSERT((a) == NULL, #a " is null", __VA_ARGS__)
#define cr_assert_not_null(a, ...)  CR_ASSERT((a) != NULL, #a " is not null", __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...) CR_ASSERT(strcmp(a, b) == 0, #a " is " #b, __VA_ARGS__)
#define cr_assert_arr_eq(a, b, n, ...) CR_ASSERT(memcmp(a, b, n) == 0, #a " is " #b, __VA_ARGS__)
#define cr_assert_fail(...)         CR_ASSERT(false, "reaching this", __VA_ARGS__)
#define cr_expect_fail(...)         CR_EXPECT(false, "reaching this", __VA_ARGS__)
#define cr_skip_test(...)           ((void)(false ? printf(" " __VA_ARGS__) : 0), exit(0))
#define cr_log_info(...)            ((void)(false ? printf(" " __VA_ARGS__) : 0))

static const struct cr_extra *
cr_suite_of(const struct cr_test *test)
{
	static const struct cr_extra none;

	for (const struct cr_test *at = cr_tests; at != NULL; at = at->next) {
		if (at->name == NULL && strcmp(at->suite, test->suite) == 0)
			return &at->extra;
	}
	return &none;
}

static void
cr_child(const struct cr_test *test, const struct cr_extra *suite)
{
	double seconds = test->extra.timeout + suite->timeout;
	void (*init)(void) = test->extra.init ? test->extra.init : suite->init;
	void (*fini)(void) = test->extra.fini ? test->extra.fini : suite->fini;

	(void)alarm(seconds > 0 ? (unsigned)seconds : 120);
	if (init != NULL)
		init();
	test->run();
	if (fini != NULL)
		fini();
	exit(atomic_load(&cr_failures) == 0 ? test->extra.exit_code : 1);
}

static bool
cr_passes(const struct cr_test *test)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0)
		cr_child(test, cr_suite_of(test));
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return false;
	if (test->extra.signal != 0)
		return WIFSIGNALED(status) &&
		    WTERMSIG(status) == test->extra.signal;
	return WIFEXITED(status) && WEXITSTATUS(status) == test->extra.exit_code;
}

int
main(void)
{
	int tested = 0, failing = 0;

	for (const struct cr_test *at = cr_tests; at != NULL; at = at->next) {
		if (at->name == NULL || at->extra.disabled)
			continue;
		tested++;
		if (cr_passes(at))
			continue;
		failing++;
		(void)fprintf(stderr, "[FAIL] %s::%s\n", at->suite, at->name);
	}
	(void)fprintf(stderr, "[====] Synthesis: Tested: %d | Failing: %d\n",
	    tested, failing);
	return failing == 0 ? 0 : 1;
}

#endif /* CRITERION_H */
