/*
 * test_rand.c - randomness from getrandom(2).
 *
 * getrandom() below takes the place of libc's.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/rand.h"

static int fail_with;    /* errno; 0: works */
static int interrupts;   /* as often EINTR first */
static size_t most = 64; /* bytes of one call */

ssize_t
getrandom(void *out, size_t len, unsigned int flags)
{
	if (interrupts > 0) {
		interrupts--;
		errno = EINTR;
		return -1;
	}
	if (fail_with != 0) {
		errno = fail_with;
		return -1;
	}
	return syscall(SYS_getrandom, out, len < most ? len : most, flags);
}

Test(rand, all_bytes_are_filled_whatever_a_call_gives)
{
	unsigned char a[200] = { 0 };
	unsigned char b[200] = { 0 };
	size_t zeros = 0;

	interrupts = 3;
	cr_assert_eq(rand_bytes(a, sizeof(a)), OK);
	cr_assert_eq(rand_bytes(b, sizeof(b)), OK);
	cr_expect_neq(memcmp(a, b, sizeof(a)), 0);
	for (size_t i = sizeof(a) - 32; i < sizeof(a); i++)
		zeros += a[i] == 0;
	cr_expect_lt(zeros, 16);
	cr_expect_eq(rand_bytes(a, 0), OK);
}

Test(rand, failure_is_told)
{
	unsigned char a[16];

	fail_with = ENOSYS;
	cr_expect_eq(rand_bytes(a, sizeof(a)), ERR_SYSTEM);
	fail_with = 0;
	most = 0;
	cr_expect_eq(rand_bytes(a, sizeof(a)), ERR_SYSTEM,
	    "and no endless "
	    "loop when nothing comes");
}
