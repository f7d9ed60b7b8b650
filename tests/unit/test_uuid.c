/*
 * test_uuid.c - UUIDs of version 7.
 *
 * The two system calls below take the place of libc's, so that the clock can
 * step back and the randomness fail.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/uuid.h"

static time_t clock_at;  /* 0: the real one */
static int random_errno; /* 0: works */
static int random_calls;

int
clock_gettime(clockid_t which, struct timespec *out)
{
	if (clock_at == 0)
		return (int)syscall(SYS_clock_gettime, which, out);
	*out = (struct timespec){ .tv_sec = clock_at, .tv_nsec = 500 };
	return 0;
}

ssize_t
getrandom(void *out, size_t len, unsigned int flags)
{
	random_calls++;
	if (random_errno != 0) {
		errno = random_errno;
		return -1;
	}
	return syscall(SYS_getrandom, out, len, flags);
}

static int
compare(const struct uuid *a, const struct uuid *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

static struct uuid
make(void)
{
	struct uuid id;

	cr_assert_eq(uuid_make(&id), OK);
	return id;
}

Test(uuid, an_id_is_of_version_7_and_knows_its_time)
{
	int64_t now = (int64_t)time(NULL) * 1000;
	struct uuid id = make();
	char text[UUID_TEXT_SIZE];

	cr_expect_eq(id.bytes[6] >> 4, 7);
	cr_expect_eq(id.bytes[8] >> 6, 2);
	cr_expect_geq(uuid_time_ms(&id), now - 1000);
	cr_expect_leq(uuid_time_ms(&id), now + 2000);
	uuid_text(&id, text);
	cr_expect_eq(strlen(text), 36);
	cr_expect_eq(text[14], '7');
}

Test(uuid, ids_of_a_thread_only_grow)
{
	struct uuid last = make();
	struct uuid id;

	for (int i = 0; i < 200000; i++) {
		id = make();
		cr_assert_lt(compare(&last, &id), 0, "after %d", i);
		last = id;
	}
}

Test(uuid, ids_grow_when_the_clock_steps_back)
{
	struct uuid last;
	struct uuid id;

	clock_at = 1800000000;
	last = make();
	for (int i = 0; i < 10000; i++) {
		if (i == 100)
			clock_at -= 3600;
		id = make();
		cr_assert_lt(compare(&last, &id), 0, "after %d", i);
		last = id;
	}
	cr_expect_eq(uuid_time_ms(&last) / 1000, 1800000000,
	    "10,000 ids "
	    "take 3 ms of the counter");
	clock_at = 1800000100;
	id = make();
	cr_expect_eq(uuid_time_ms(&id), INT64_C(1800000100000));
	clock_at = 0;
}

Test(uuid, random_bytes_are_fetched_for_many_ids_at_once)
{
	(void)make();
	random_calls = 0;
	for (int i = 0; i < 640; i++)
		(void)make();
	cr_expect_eq(random_calls, 10);
}

Test(uuid, a_child_does_not_repeat_its_parent)
{
	struct uuid theirs;
	struct uuid ours;
	int ends[2];
	pid_t pid;

	clock_at = 1800000000; /* the random part alone must tell them apart */
	(void)make();
	cr_assert_eq(pipe(ends), 0);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		if (uuid_make(&ours) != OK ||
		    write(ends[1], &ours, sizeof(ours)) != sizeof(ours))
			_exit(1);
		_exit(0);
	}
	ours = make();
	cr_assert_eq(read(ends[0], &theirs, sizeof(theirs)), sizeof(theirs));
	cr_expect_eq(memcmp(theirs.bytes, ours.bytes, 8), 0);
	cr_expect_neq(memcmp(theirs.bytes + 8, ours.bytes + 8, 8), 0);
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
	clock_at = 0;
}

static void *
make_one(void *arg)
{
	return uuid_make(arg) == OK ? arg : NULL;
}

Test(uuid, two_threads_do_not_repeat_each_other)
{
	struct uuid theirs = { { 0 } };
	struct uuid ours;
	pthread_t thread;

	clock_at = 1800000000;
	ours = make();
	cr_assert_eq(pthread_create(&thread, NULL, make_one, &theirs), 0);
	cr_assert_eq(pthread_join(thread, NULL), 0);
	cr_expect_not(uuid_is_zero(&theirs));
	cr_expect_neq(memcmp(theirs.bytes + 8, ours.bytes + 8, 8), 0);
	clock_at = 0;
}

Test(uuid, no_randomness_is_no_id)
{
	struct uuid id = { { 0 } };

	random_errno = ENOSYS;
	cr_expect_eq(uuid_make(&id), ERR_SYSTEM);
	cr_expect(uuid_is_zero(&id));
	random_errno = 0;
	cr_expect_eq(uuid_make(&id), OK, "it recovers");
	random_errno = ENOSYS;
	for (int i = 0; i < 63; i++)
		cr_assert_eq(uuid_make(&id), OK, "what is left is used");
	cr_expect_eq(uuid_make(&id), ERR_SYSTEM);
}

Test(uuid, text_and_back)
{
	static const char known[] = "01890a5d-ac96-774b-bcce-b302099a8057";
	char text[UUID_TEXT_SIZE];
	struct uuid again;
	struct uuid id;

	cr_assert_eq(uuid_parse(known, &id), OK);
	uuid_text(&id, text);
	cr_expect_str_eq(text, known);
	cr_expect_eq(uuid_time_ms(&id), INT64_C(0x01890a5dac96));
	cr_assert_eq(uuid_parse("01890A5D-AC96-774B-BCCE-B302099A8057", &again),
	    OK);
	cr_expect(uuid_equal(&id, &again));
	cr_expect_not(uuid_is_zero(&id));
	again.bytes[15] ^= 1;
	cr_expect_not(uuid_equal(&id, &again));
	cr_assert_eq(uuid_parse("00000000-0000-0000-0000-000000000000", &id),
	    OK);
	cr_expect(uuid_is_zero(&id));
}

Test(uuid, other_texts_are_refused)
{
	static const char *const bad[] = { "", "0",
		"01890a5d-ac96-774b-bcce-b302099a805",
		"01890a5d-ac96-774b-bcce-b302099a80577",
		"01890a5dac96774bbcceb302099a8057",
		"01890a5d-ac96-774b-bcceb-302099a8057",
		"01890a5g-ac96-774b-bcce-b302099a8057",
		"{1890a5d-ac96-774b-bcce-b302099a805}",
		" 1890a5d-ac96-774b-bcce-b302099a8057",
		"01890a5d-ac96-774b-bcce-b302099a8057\n",
		"01890a5d_ac96_774b_bcce_b302099a8057" };
	struct uuid id = { { 7 } };

	cr_expect_eq(uuid_parse(NULL, &id), ERR_INPUT);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(uuid_parse(bad[i], &id), ERR_INPUT, "%s", bad[i]);
	cr_expect_eq(id.bytes[0], 7, "the result is untouched");
}
